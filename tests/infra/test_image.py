import pytest

from infra.image import content_tag


def test_an_images_tag_changes_with_content_and_name_and_with_nothing_else(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("1")
    (tmp_path / "lock.txt").write_text("x")
    first = content_tag(tmp_path, ["code", "lock.txt"])
    (tmp_path / "code" / "__pycache__").mkdir()
    (tmp_path / "code" / "__pycache__" / "a.pyc").write_text("compiled")
    assert content_tag(tmp_path, ["code", "lock.txt"]) == first
    (tmp_path / "code" / "a.py").rename(tmp_path / "code" / "b.py")
    renamed = content_tag(tmp_path, ["code", "lock.txt"])
    assert renamed != first
    (tmp_path / "code" / "b.py").write_text("2")
    assert content_tag(tmp_path, ["code", "lock.txt"]) not in {first, renamed}


def test_an_images_missing_source_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is a source of the image and does not exist"):
        content_tag(tmp_path, ["nowhere"])
