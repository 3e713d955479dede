"""The pods that tests make of values say what the charts' own would, where charts are at hand."""

import importlib.util

import pytest

from mlp.charts import rendering
from mlp.charts.check import releases_of
from mlp.charts.store import find_store
from tests.builders import planned_with_airflow
from tests.images.containers.planned_pods import MADE, pods_of

needs_rendering = pytest.mark.skipif(
    not importlib.util.find_spec(rendering.SDK) or not any(find_store().folder.glob("*/*.tgz")),
    reason=f"no chart archives (`mlp charts pull` gets them), or nothing to render with: {rendering.HOW_TO_INSTALL}",
)


def told(spec):
    """What a pod's main container is told: arguments, size, contexts, and variables with values of their own."""
    container = spec["containers"][0]
    return {
        "arguments": set(container["args"]),
        "resources": container["resources"],
        "contexts": (spec["securityContext"], container["securityContext"]),
        "variables": {one["name"]: one["value"] for one in container["env"] if "value" in one},
        "secrets": {one["name"]: one["valueFrom"] for one in container["env"] if "valueFrom" in one},
    }


@needs_rendering
@pytest.mark.parametrize("name", MADE)
def test_a_pod_made_of_values_is_told_no_more_than_the_charts_own(name):
    deployments = planned_with_airflow("dev")
    [release] = [one for one in releases_of(deployments) if one.name == name]
    made, _ = MADE[name](release)
    rendered, objects = pods_of(name, deployments)
    texts = [text for data in objects["ConfigMap"].values() for text in data.values()]
    for pod, spec in made.items():
        ours, charts = told(spec), told(rendered[pod])
        assert ours["arguments"] <= charts["arguments"]
        assert ours["resources"] == charts["resources"]
        for own, one in zip(ours["contexts"], charts["contexts"], strict=True):
            assert own.items() <= one.items()
        assert ours["secrets"] == {key: charts["secrets"].get(key) for key in ours["secrets"]}
        of_the_test = {"MLFLOW_AUTH_CONFIG_PATH", "MLFLOW_FLASK_SERVER_SECRET_KEY"}
        for key, value in ours["variables"].items():
            if key not in of_the_test:
                option = f"{key.rpartition('__')[2].lower()} = {value}"
                assert charts["variables"].get(key) == value or any(option in one or value in one for one in texts), key
