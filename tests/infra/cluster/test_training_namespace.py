"""The namespace of training jobs: what its pods may be, how many GPUs they may have, and which job can have them."""

import pytest

from mlp.engine.clouds.recording import RecordingCloud
from mlp.engine.deployment import run_program
from mlp.engine.programs import WORKLOADS
from mlp.shared.errors import PlatformError
from tests.builders import changed, inputs_of, planned


def test_the_workloads_refuse_a_job_that_no_pool_can_hold():
    [platform, _] = planned("dev")
    workloads, references = changed(WORKLOADS, training={"workers": 5}), {platform.reference: platform.outputs}
    message = r"training.workers 5 x training.gpus 1 are 5 GPUs, and the platform's jobs may have 2, .*raise that there"
    with pytest.raises(PlatformError, match=message):
        run_program(workloads, "dev", RecordingCloud(), references=references)


@pytest.mark.parametrize(("stack", "most"), [("dev", 2), ("prod", 5)])
def test_the_namespace_of_jobs_takes_restricted_pods_and_as_many_gpus_as_the_pools_hold(stack, most):
    platform = planned(stack)[0]
    quotas = inputs_of(platform, "kubernetes:core/v1:ResourceQuota").values()
    [quota] = [one["spec"]["hard"] for one in quotas if one["metadata"]["namespace"] == "training"]
    assert quota == {"requests.nvidia.com/gpu": str(most)}
    assert platform.outputs["max_training_gpus"] == most
    namespaces = inputs_of(platform, "kubernetes:core/v1:Namespace").values()
    [labels] = [one["metadata"]["labels"] for one in namespaces if one["metadata"]["name"] == "training"]
    assert set(labels.values()) == {"restricted"}
