import os

import pytest

from mlp.local.credentials import Credentials
from mlp.local.home import Home, prepare
from mlp.local.postgres import Postgres


@pytest.fixture(scope="module")
def data_home(open_folder):
    """A home with PostgreSQL's data folder in it."""
    made = Home(open_folder / "locks")
    prepare(made)
    Postgres(made, Credentials()).prepare()
    return made


@pytest.mark.parametrize("text", [f"{os.getpid()}\n", "", "what\n"], ids=["another program", "empty", "damaged"])
def test_only_the_lock_of_a_number_that_another_program_got_is_removed(data_home, text):
    lock = data_home.postgres_data / "postmaster.pid"
    lock.write_text(text)
    Postgres(data_home, Credentials()).prepare()
    assert lock.exists() == (text.strip() != str(os.getpid()))
    lock.unlink(missing_ok=True)
