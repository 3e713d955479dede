import itertools

from mlp.local.logs import last_lines, lines_from, size


def test_the_last_lines_come_in_order(tmp_path):
    (tmp_path / "log").write_bytes(b"one\ntwo\n\xffthree\nfour")
    assert last_lines(tmp_path / "log", 3) == ["two", "\N{REPLACEMENT CHARACTER}three", "four"]
    assert last_lines(tmp_path / "log", 5, start=8) == ["\N{REPLACEMENT CHARACTER}three", "four"]
    assert last_lines(tmp_path / "log", 5, end=8) == ["one", "two"]
    assert last_lines(tmp_path / "log", 0) == []
    assert last_lines(tmp_path / "none", 3) == []


def test_following_gives_whole_lines_that_are_added_and_follows_a_new_file(tmp_path):
    log = tmp_path / "log"
    log.write_text("old\n")
    added = lines_from(log, size(log))
    with log.open("a") as file:
        file.write("one\ntw")
        file.flush()
        assert next(added) == "one"
        file.write("o\n")
    assert next(added) == "two"
    log.rename(tmp_path / "log.1")
    log.write_text("three\nfour\n")
    assert list(itertools.islice(added, 2)) == ["three", "four"]
