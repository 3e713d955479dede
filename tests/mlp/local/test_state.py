import shutil

import pytest

from mlp.local.home import Home
from mlp.local.state import PlatformState, ServiceRecord, load_state, save_state
from mlp.shared.errors import PlatformError

RECORD = ServiceRecord(pid=12, created=1.5, command=["run"], fingerprint="f", log="/log", phase="ready")


def recorded(home):
    state = PlatformState(home=str(home.path), ports={"web": 20001}, services={"web": RECORD})
    save_state(home, state)
    return state


def test_a_state_comes_back_as_it_was_written(home):
    state = recorded(home)
    assert load_state(home).state == state
    assert load_state(home).damage is None


def test_nothing_is_on_record_before_the_first_start(tmp_path):
    loaded = load_state(Home(tmp_path))
    assert (loaded.state.services, loaded.state.ports, loaded.damage) == ({}, {}, None)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format": 1}', '{"format": "1", "home": "x", "ports": {}, "services": {}}',
     '{"format": 1, "home": "x", "ports": [], "services": {}}',
     '{"format": 1, "home": "x", "ports": {}, "services": {"web": {"pid": 1}}}'],
    ids=["empty", "cut", "list", "bare", "text-format", "ports-list", "record-cut"],
)  # fmt: skip
def test_a_damaged_state_is_told_and_taken_as_empty(home, text):
    home.state_file.write_text(text)
    loaded = load_state(home)
    assert loaded.state.services == {}
    assert loaded.damage is not None
    assert str(home.state_file) in loaded.damage


def test_a_state_of_a_newer_mlp_is_refused(home):
    recorded(home)
    home.state_file.write_text(home.state_file.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(PlatformError, match="format 2 and this mlp reads up to 1"):
        load_state(home)


def test_a_copy_of_a_home_does_not_claim_the_processes_of_the_original(home, tmp_path):
    recorded(home)
    shutil.copytree(home.path, tmp_path / "copy")
    assert load_state(Home(tmp_path / "copy")).state.services == {}


def test_a_home_that_was_moved_keeps_its_record(home, tmp_path):
    state = recorded(home)
    home.path.rename(tmp_path / "moved")
    assert load_state(Home(tmp_path / "moved")).state == state
