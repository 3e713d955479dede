import json

import pytest

from mlp.engine.clouds.recording import RecordingCloud
from mlp.engine.deployment import run_program
from mlp.shared.errors import PlatformError
from tests.builders import WORKLOADS_WITH_AIRFLOW, inputs_of, planned, planned_with_airflow


def test_workloads_fill_the_config_map_that_airflow_mounts_and_another_one_anew():
    platform, workloads = planned_with_airflow("dev")
    [patch] = inputs_of(workloads, "kubernetes:core/v1:ConfigMapPatch").values()
    [made] = [one for one in platform.of_type("kubernetes:core/v1:ConfigMap") if one.wanted.name == "airflow-workloads"]
    assert made.created
    metadata = made.created.outputs["metadata"]
    assert [patch["metadata"][key] for key in ("namespace", "name")] == ["airflow", "workloads"]
    assert [metadata[key] for key in ("namespace", "name")] == ["airflow", "workloads"]
    assert patch["metadata"]["annotations"]["ml-platform/filled"] == metadata["uid"]
    assert patch["data"]["training-image"] == workloads.outputs["training_image"]
    assert json.loads(patch["data"]["training-job.json"]) == workloads.outputs["training_job"]


def test_workloads_for_pipelines_on_a_platform_without_airflow_say_what_to_do():
    platform = planned("dev")[0]
    references = {platform.reference: platform.outputs}
    with pytest.raises(PlatformError, match=r"runs no Airflow .*Pulumi\.dev\.yaml; .* `pulumi up --refresh -s dev`"):
        run_program(WORKLOADS_WITH_AIRFLOW, "dev", RecordingCloud(), references=references)
