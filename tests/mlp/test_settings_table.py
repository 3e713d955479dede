"""The table of settings: read off the model, and current where it is printed."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.settings.settings import PlatformSettings
from mlp.cli import app
from mlp.review.settings_table import BEGIN, END, rows_of, settings_table, update, with_settings_table
from mlp.shared.errors import PlatformError

README = Path(__file__).resolve().parents[2] / "README.md"


def rows():
    return {row[0].strip("`"): row for row in rows_of(PlatformSettings)}


def test_the_readme_shows_the_settings_as_they_are():
    text = README.read_text()
    assert with_settings_table(text, name=README.name) == text, "run `mlp settings --update README.md`"


def test_every_setting_says_what_it_is():
    assert [key for key, (_, _, _, meaning) in rows().items() if not meaning] == []


@pytest.mark.parametrize(
    ("key", "allowed", "default"),
    [
        ("region", "text", "required"),
        ("protect_data", "true, false", "`true`"),
        ("network.cidr", "address range", "`10.0.0.0/16`"),
        ("network.nat_gateways", "none, single, per_zone", '`"per_zone"`'),
        ("cluster.public_access_cidrs", "list of address ranges", "`[]`"),
        ("node_pools", "mapping by name", "`core`, `gpu`"),
        ("node_pools.NAME.disk_throughput_mibps", "125 to 1000, or null", "`null`"),
        ("database.backup_retention_days", "1 to 35", "`14`"),
    ],
)
def test_a_row_has_what_the_model_allows_and_its_default(key, allowed, default):
    assert rows()[key][1:3] == (allowed, default)


def test_the_stacks_name_is_no_setting():
    assert "environment" not in rows()


def test_a_document_is_updated_between_its_marks_alone(tmp_path):
    document = tmp_path / "README.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    result = CliRunner().invoke(app, ["settings", "--update", str(document)])
    assert (result.exit_code, result.output) == (0, f"{document}: written\n")
    assert document.read_text() == f"before\n{BEGIN}\n\n{settings_table()}\n\n{END}\nafter\n"
    assert not update(document)


def test_a_document_without_marks_is_refused_and_left_alone(tmp_path):
    document = tmp_path / "README.md"
    document.write_text("nothing here\n")
    with pytest.raises(PlatformError, match=r"README.md has no lines `<!-- settings"):
        update(document)
    assert document.read_text() == "nothing here\n"


def test_without_a_file_the_table_is_printed():
    assert CliRunner().invoke(app, ["settings"]).output.startswith("| setting | allowed | default |")
