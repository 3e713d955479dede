"""The plans of this repository against the data of the charts that they install."""

import pytest

from mlp.charts.check import check, releases_of
from mlp.charts.pull import pins
from mlp.charts.store import find_store
from tests.builders import planned_with_airflow

STORE = find_store()
needs_chart_data = pytest.mark.skipif(
    not STORE.names(),
    reason="no chart data: `mlp charts pull` gets it, or ML_PLATFORM_CHARTS names a folder that has it",
)


@pytest.fixture(scope="module", params=["dev", "prod"])
def deployments(request):
    return planned_with_airflow(request.param)


def test_every_release_installs_a_pinned_chart(deployments):
    pinned = {(one.name, one.version, one.repository) for one in pins()}
    releases = releases_of(deployments)
    assert releases
    assert [one.name for one in releases if (one.chart, one.version, one.repository) not in pinned] == []


@needs_chart_data
def test_every_chart_knows_the_values_that_it_is_given_and_every_custom_resource_keeps_to_its_definition(deployments):
    report = check(deployments, STORE, pins())
    assert report.custom_resources
    assert "\n".join(report.faults) == ""
