import json
import os
import signal
import stat
import subprocess
import sys

import pytest

from mlp.local.home import Home, locked, prepare, read_json
from mlp.shared.errors import PlatformError
from mlp.shared.files import write_private
from tests.mlp.local.builders import wait_until


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_home_can_be_listed_by_its_user_alone(tmp_path):
    home = Home(tmp_path / "a" / "home")
    prepare(home)
    prepare(home)
    assert mode(home.path) == (0o711 if os.geteuid() == 0 else 0o700)
    assert {mode(folder) for folder in home.path.iterdir() if folder.is_dir()} == {0o700}


def test_a_file_where_the_home_should_be_is_named(tmp_path):
    (tmp_path / "home").write_text("mine")
    with pytest.raises(PlatformError, match=r"home is a file; .* move the file away"):
        prepare(Home(tmp_path / "home"))
    assert (tmp_path / "home").read_text() == "mine"


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(PlatformError, match="holds other files; set MLP_HOME"):
        prepare(Home(tmp_path))
    assert mode(tmp_path) == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("text", ["", "{", "[1]", "\xff"])
def test_a_file_that_holds_no_json_object_is_refused(tmp_path, text):
    (tmp_path / "file").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"."):
        read_json(tmp_path / "file")


def test_a_second_mlp_waits_for_the_first_and_then_gives_up(home):
    told: list[str] = []
    with (
        locked(home, wait_s=0, on_wait=told.append),
        pytest.raises(PlatformError, match=rf"another mlp \(process {os.getpid()}\).* for over 0 s"),
        locked(home, wait_s=0.3, on_wait=told.append),
    ):
        pytest.fail("both are at work")
    assert told == [f"waiting for another mlp (process {os.getpid()}) at work on {home.path}"]


HOLD = """
import sys, time
from pathlib import Path
from mlp.local.home import Home, locked
with locked(Home(Path(sys.argv[1])), wait_s=0, on_wait=print):
    Path(sys.argv[1], "held").touch()
    time.sleep(600)
"""


def test_the_lock_of_an_mlp_that_was_killed_is_free(home):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(home.path)]) as holder:
        wait_until((home.path / "held").exists)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with locked(home, wait_s=0, on_wait=pytest.fail):
        assert home.lock_file.read_text() == str(os.getpid())


def test_json_of_a_private_file_comes_back(tmp_path):
    write_private(tmp_path / "file", json.dumps({"a": 1}))
    assert read_json(tmp_path / "file") == {"a": 1}
