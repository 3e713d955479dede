import json
import stat
from dataclasses import asdict

import pytest

from mlp.local.credentials import Credentials, ensure_credentials, load_credentials
from mlp.local.home import Home
from mlp.shared.errors import PlatformError


def test_credentials_are_generated_once_and_kept_for_this_user_alone(home):
    first = ensure_credentials(home)
    assert ensure_credentials(home) == first == load_credentials(home)
    for path in (home.credentials_file, home.ray_token_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert home.ray_token_file.read_text() == first.ray_token


def test_no_two_secrets_are_alike():
    values = [*asdict(Credentials()).values(), *asdict(Credentials()).values()]
    assert len(set(values)) == len(values) - 1  # the name `admin`


def test_secrets_are_not_shown():
    credentials = Credentials()
    assert credentials.mlflow_password not in repr(credentials)


def test_looking_for_credentials_where_none_are_says_what_to_run(tmp_path):
    with pytest.raises(PlatformError, match="run `mlp up`"):
        load_credentials(Home(tmp_path))


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "is damaged"), ('{"ray_token": "a"}', "lacks postgres_password, "), ("", "is damaged")],
    ids=["broken", "incomplete", "empty"],
)
def test_damaged_credentials_are_named_and_kept(home, text, said):
    home.credentials_file.write_text(text)
    with pytest.raises(PlatformError, match=said):
        ensure_credentials(home)
    assert home.credentials_file.read_text() == text


def test_lost_credentials_are_not_made_anew_beside_data_they_cannot_open(home):
    home.postgres_data.mkdir()
    with pytest.raises(PlatformError, match=r"credentials.json is gone"):
        ensure_credentials(home)
    assert not home.credentials_file.exists()


def test_a_lost_token_file_comes_back(home):
    credentials = ensure_credentials(home)
    home.ray_token_file.unlink()
    ensure_credentials(home)
    assert (
        home.ray_token_file.read_text()
        == credentials.ray_token
        == json.loads(home.credentials_file.read_text())["ray_token"]
    )
