"""The table of settings: read off the model, and current where it is printed."""

import pytest
from typer.testing import CliRunner

from infra.settings.settings import PlatformSettings
from mlp.cli import app
from mlp.review.settings_table import DOCUMENT, MARKS, rows_of, settings_table
from mlp.shared.documents import with_part


def rows():
    return {row[0].strip("`"): row for row in rows_of(PlatformSettings)}


def test_the_document_shows_the_settings_as_they_are():
    text = DOCUMENT.read_text()
    assert with_part(text, MARKS, settings_table(), name=DOCUMENT.name) == text, "run `mlp settings --update`"


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


def test_without_update_the_table_is_printed():
    assert CliRunner().invoke(app, ["settings"]).output.startswith("| setting | allowed | default |")
