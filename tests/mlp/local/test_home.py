import json
import os
import signal
import stat
import subprocess
import sys

import pytest

from mlp.local.home import Home, locked, prepare, read_json, write_private
from mlp.shared.errors import PlatformError
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


def test_a_private_file_is_replaced_whole(tmp_path):
    write_private(tmp_path / "file", "first")
    write_private(tmp_path / "file", "second")
    assert (tmp_path / "file").read_text() == "second"
    assert mode(tmp_path / "file") == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


WRITE_ON_A_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from mlp.shared.errors import PlatformError
from mlp.local.home import write_private
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # as on a full disk, writing stops half way
try:
    write_private(Path(sys.argv[1]), "x" * 100_000)
except PlatformError as error:
    print(error)
"""


def test_what_cannot_be_written_whole_leaves_the_old_file(tmp_path):
    write_private(tmp_path / "file", "old")
    command = [sys.executable, "-c", WRITE_ON_A_FULL_DISK, str(tmp_path / "file")]
    # Without coverage: its data file would meet the limit too.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert f"{tmp_path / 'file'} could not be written" in told
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


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
