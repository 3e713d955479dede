import os
import stat
import threading

import pytest

from mlp.shared.files import write_whole


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text("old")
    write_whole(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


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


def test_a_folder_in_place_of_the_file_is_an_error(tmp_path):
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path, "plan")
