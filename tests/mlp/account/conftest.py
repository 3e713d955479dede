from collections.abc import Iterator

import pytest
from moto import mock_aws

from tests.mlp.account.builders import EmulatedAccount


@pytest.fixture
def account() -> Iterator[EmulatedAccount]:
    """An empty AWS account in this process."""
    with mock_aws():
        yield EmulatedAccount()
