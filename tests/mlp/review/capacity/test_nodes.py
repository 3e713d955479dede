import base64

import pytest

from infra.facts.instance_types import INSTANCE_TYPES
from mlp.review.capacity.nodes import allocatable, interface_pods, node_pools
from mlp.shared.errors import PlatformError
from tests.mlp.review.capacity.builders import plans, pool, program, with_inputs

MIB = 2**20


# Karpenter's own figures, https://karpenter.sh/docs/reference/instance-types/
@pytest.mark.parametrize(
    ("instance_type", "cpu", "memory_mib"),
    [("t3.large", 1930, 6837), ("g6.xlarge", 3920, 14162), ("g6.2xlarge", 7910, 29317), ("g6e.xlarge", 3920, 29317)],
)
def test_a_node_has_for_pods_what_the_system_and_the_kubelet_leave(instance_type, cpu, memory_mib):
    room = allocatable(instance_type, max_pods=110, disk_gib=50)
    assert room["cpu"] == cpu
    assert room["memory"] / MIB == pytest.approx(memory_mib, abs=1)
    assert room["pods"] == 110
    assert room["nvidia.com/gpu"] == INSTANCE_TYPES[instance_type].gpus


def test_every_instance_type_leaves_room():
    for name, shape in INSTANCE_TYPES.items():
        room = allocatable(name, max_pods=shape.max_pods, disk_gib=20)
        assert 29 <= interface_pods(name) <= 737
        assert 0.8 * shape.memory_gib * 1024 < room["memory"] / MIB + 2500 < shape.memory_gib * 1024 + 2500
        assert 0.9 * 1000 * shape.vcpus < room["cpu"] < 1000 * shape.vcpus


def test_the_pools_of_dev_are_read_with_labels_taints_and_the_pods_that_the_launch_template_allows():
    core, gpu = node_pools(plans("dev")[0])
    assert (core.name, core.min_size, core.max_size, core.zones, core.taints) == ("core", 2, 4, 3, ())
    assert core.allocatable["pods"] == 110
    assert gpu.taints == ({"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"},)
    assert gpu.labels["nvidia.com/gpu.present"] == "true"


def test_a_pool_of_several_types_is_as_large_as_its_smallest_in_everything():
    [mixed] = node_pools(program(*pool(types=("g6.2xlarge", "r6i.xlarge"))))
    assert mixed.allocatable["cpu"] == 3920
    assert mixed.allocatable["memory"] == allocatable("g6.2xlarge", max_pods=110, disk_gib=50)["memory"]
    assert mixed.allocatable["nvidia.com/gpu"] == 0


def test_fewer_pods_in_the_launch_template_are_fewer_on_the_node():
    [small] = node_pools(program(*pool(max_pods=17)))
    assert small.allocatable["pods"] == 17


def test_what_a_launch_template_reserves_itself_counts():
    template, group = pool()
    kubelet = "kubelet: {config: {maxPods: 50, kubeReserved: {memory: 2Gi, cpu: 500m}}}"
    part = f"apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\nspec: {{{kubelet}}}\n"
    message = (
        f'Content-Type: multipart/mixed; boundary="B"\n\n--B\nContent-Type: application/node.eks.aws\n\n{part}\n--B--\n'
    )
    user_data = base64.b64encode(message.encode()).decode()
    [reserving] = node_pools(program(with_inputs(template, userData=user_data), group))
    assert reserving.allocatable["cpu"] == 1500
    assert reserving.allocatable["memory"] == int(8 * 1024 * MIB * 0.925) - 2 * 1024 * MIB - 100 * MIB


def test_a_pool_whose_pods_per_node_nobody_set_is_refused():
    template, group = pool()
    with pytest.raises(PlatformError, match=r"node group nodes-core: no launch template sets kubelet\.config\.maxPods"):
        node_pools(program(with_inputs(template, userData=""), group))


def test_an_unknown_instance_type_is_refused():
    with pytest.raises(
        PlatformError, match=r"nodes-core: instance type x9\.huge is not in infra/facts/instance_types\.py"
    ):
        node_pools(program(*pool(types=("t3.large", "x9.huge"))))
