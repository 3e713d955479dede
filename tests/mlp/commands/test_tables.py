"""`mlp settings` and `mlp policies`: printed, or written into a document."""

import pytest

from mlp.review import settings_table
from mlp.review.policy import table as policy_table
from tests.command import run_mlp

COMMANDS = pytest.mark.parametrize(
    ("command", "table", "module"),
    [
        ("settings", settings_table.settings_table(), settings_table),
        ("policies", policy_table.policy_table(), policy_table),
    ],
    ids=["settings", "policies"],
)


@COMMANDS
def test_without_update_the_table_is_printed(command, table, module):
    ended = run_mlp(command)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{table}\n", "")


@COMMANDS
def test_the_documents_own_table_is_current(command, table, module):
    before = module.DOCUMENT.stat()
    ended = run_mlp(command, "--update")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert ended.stderr == f"docs/{module.DOCUMENT.name}: is current\n"
    assert module.DOCUMENT.stat().st_ino == before.st_ino


@COMMANDS
def test_another_document_is_updated_by_its_name(command, table, module, tmp_path):
    document = tmp_path / "other.md"
    document.write_text(module.MARKS.around("old"))
    ended = run_mlp(command, "--update", str(document))
    assert (ended.returncode, ended.stderr) == (0, f"{document}: written\n")
    assert document.read_text() == module.MARKS.around(table)


@COMMANDS
def test_a_document_without_update_is_refused(command, table, module, tmp_path):
    ended = run_mlp(command, str(tmp_path / "other.md"))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"run `mlp {command} --update {tmp_path / 'other.md'}` to write it" in ended.stderr
