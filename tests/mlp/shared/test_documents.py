"""The parts of documents between two marks."""

import os

import pytest

from mlp.shared.documents import Marks, outcome, update, with_part
from mlp.shared.errors import PlatformError

MARKS = Marks(what="fruit", command="mlp fruit --update")
BEGIN, END = "<!-- fruit: written by `mlp fruit --update` -->", "<!-- end of fruit -->"


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "fruit.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter")
    return path


def test_the_part_is_replaced_and_nothing_else(document):
    assert update(document, MARKS, "apple\npear\n")
    assert document.read_text() == f"before\n{BEGIN}\n\napple\npear\n\n{END}\nafter"


def test_a_part_that_is_current_is_not_written(document):
    update(document, MARKS, "apple")
    before = document.stat()
    assert not update(document, MARKS, "apple")
    assert document.stat().st_ino == before.st_ino


def test_a_mark_that_a_sentence_names_is_none():
    text = f"It stands below `{BEGIN}`.\n{BEGIN}\n{END}\n"
    assert with_part(text, MARKS, "apple", name="-").endswith(f".\n{BEGIN}\n\napple\n\n{END}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", f"fruit.md has no line `{BEGIN}`; add the lines `{BEGIN}` and `{END}` where"),
        (f"{BEGIN}\nold", f"fruit.md has no line `{END}`; add the lines"),
        (f"{END}\n", f"fruit.md has no line `{BEGIN}`; add the lines"),
        (f"{END}\nold\n{BEGIN}", f"fruit.md has the line `{END}` before `{BEGIN}`; put them in order"),
        (f"{BEGIN}\na\n{BEGIN}\nb\n{END}", f"fruit.md has the line `{BEGIN}` 2 times (lines 1, 3); leave one"),
        (f"{BEGIN}\na\n{END}\nb\n{END}", f"fruit.md has the line `{END}` 2 times (lines 3, 5); leave one"),
    ],
    ids=["no marks", "no end", "no begin", "wrong order", "two begins", "two ends"],
)
def test_a_document_whose_marks_say_no_place_is_refused_and_left_alone(tmp_path, text, message):
    document = tmp_path / "fruit.md"
    document.write_text(text)
    with pytest.raises(PlatformError) as raised:
        update(document, MARKS, "apple")
    assert str(raised.value).startswith(message)
    assert document.read_text() == text


def test_a_document_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(PlatformError, match=r"/nowhere\.md cannot be read: No such file or directory; "):
        update(tmp_path / "nowhere.md", MARKS, "apple")
    (tmp_path / "picture.png").write_bytes(b"\xff\xd8")
    with pytest.raises(PlatformError, match=r"/picture\.png is no text in UTF-8 "):
        update(tmp_path / "picture.png", MARKS, "apple")


def test_a_document_that_cannot_be_written_is_as_it_was(document, monkeypatch):
    before = document.read_text()

    def full(handle):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(PlatformError, match=r"/fruit\.md could not be written: No space left on device; "):
        update(document, MARKS, "apple")
    assert document.read_text() == before
    assert [path.name for path in document.parent.iterdir()] == ["fruit.md"]


def test_people_are_told_what_became_of_the_document(tmp_path):
    assert outcome(tmp_path / "a", written=True) == f"{tmp_path / 'a'}: written"
    assert outcome(tmp_path / "a", written=False) == f"{tmp_path / 'a'}: is current"
