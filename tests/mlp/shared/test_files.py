import os
import stat
import subprocess
import sys
import threading

import pytest

from mlp.shared.errors import PlatformError
from mlp.shared.files import write_private, write_whole

WRITERS = pytest.mark.parametrize("write", [write_whole, write_private])


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    """A umask that leaves some of a shared file's mode."""
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


@WRITERS
def test_a_file_is_replaced_whole(write, tmp_path):
    write(tmp_path / "plan.json", "first")
    write(tmp_path / "plan.json", "zw\u00f6lf")
    assert (tmp_path / "plan.json").read_text(encoding="utf-8") == "zw\u00f6lf"
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_a_private_file_is_its_users_alone_and_another_one_as_the_umask_has_it(tmp_path, umask):
    write_private(tmp_path / "private", "text")
    write_whole(tmp_path / "shared", "text")
    assert (mode(tmp_path / "private"), mode(tmp_path / "shared")) == (0o600, 0o666 & ~umask)


WRITE_ON_A_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from mlp.shared import files
from mlp.shared.errors import PlatformError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # as on a full disk, writing stops half way
try:
    getattr(files, sys.argv[1])(Path(sys.argv[2]), "x" * 100_000)
except PlatformError as error:
    print(error)
"""


@WRITERS
def test_what_cannot_be_written_whole_leaves_the_old_file(write, tmp_path):
    write(tmp_path / "file", "old")
    command = [sys.executable, "-c", WRITE_ON_A_FULL_DISK, write.__name__, str(tmp_path / "file")]
    # Without coverage: its data file would meet the limit too.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert told.startswith(f"{tmp_path / 'file'} could not be written: File too large; ")
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_two_writers_at_once_leave_the_text_of_one(tmp_path):
    texts = {letter * 100_000 for letter in "abcdefgh"}
    threads = [threading.Thread(target=write_whole, args=(tmp_path / "file", text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (tmp_path / "file").read_text() in texts
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    write_whole(pipe, "plan")
    reader.join(10)
    assert got == ["plan"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@WRITERS
def test_a_folder_in_place_of_the_file_is_named_and_left_alone(write, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(PlatformError, match=r"/folder could not be written: Is a directory; "):
        write(tmp_path / "folder", "plan")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
