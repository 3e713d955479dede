"""Node groups: what nodes are, what may run on them, and how the autoscaler knows an empty group."""

import base64
import email

import pulumi
import pytest
import yaml

from infra.cluster.node_pools import NodePools, NodePoolsArgs, autoscaler_tags, node_labels, node_user_data
from infra.network.network import Network, NetworkArgs
from infra.settings.settings import NetworkSettings, NodePoolSettings
from mlp.plan.planned import program_plan
from mlp.review.changes.differences import compare_program
from tests.builders import deploy, inputs_of, wanted
from tests.infra.builders import ENVIRONMENT, ZONES

CORE = NodePoolSettings(instance_types=("m7i.large",), min_size=2, max_size=4)
GPU = NodePoolSettings(
    gpu=True, instance_types=("g6.xlarge", "g5.xlarge"), capacity="spot", min_size=0, max_size=5, disk_gib=200
)
TEMPLATE = "k8s.io/cluster-autoscaler/node-template"


def pools_args(**pools):
    return NodePoolsArgs(
        environment=ENVIRONMENT,
        cluster_name="c",
        kubernetes_version="1.35",
        subnet_ids={zone: f"subnet-{zone}" for zone in ZONES},
        egress=[],
        pools=pools,
    )


def deploy_pools(**pools):
    return deploy(lambda: NodePools("nodes", pools_args(**pools)))


def group_of(deployment):
    [group] = inputs_of(deployment, "aws:eks/nodeGroup:NodeGroup").values()
    return group


def template_of(deployment):
    [template] = inputs_of(deployment, "aws:ec2/launchTemplate:LaunchTemplate").values()
    return template


def test_a_gpu_pool_is_tainted_and_boots_the_nvidia_image():
    group = group_of(deploy_pools(gpu=GPU))
    assert group["amiType"] == "AL2023_x86_64_NVIDIA"
    assert group["taints"] == [{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}]
    assert group["scalingConfig"]["desiredSize"] == 0
    assert (group["capacityType"], group["instanceTypes"]) == ("SPOT", ["g6.xlarge", "g5.xlarge"])
    assert group["labels"]["nvidia.com/gpu.present"] == "true"


def test_the_autoscaler_owns_the_size_of_a_pool():
    [group] = wanted(deploy_pools(core=CORE), "aws:eks/nodeGroup:NodeGroup").values()
    assert group.ignore_changes == ("scalingConfig.desiredSize",)


def test_no_size_of_a_pool_reaches_eks_once_its_group_is_there():
    """The provider would send the present size along, as the last deployment knew it."""
    before = program_plan(deploy_pools(core=CORE))
    for sizes in ({"min_size": 3}, {"max_size": 9}, {"min_size": 1, "max_size": 2}):
        after = program_plan(deploy_pools(core=CORE.model_copy(update=sizes)))
        [change] = compare_program(before, after).resources
        assert {one.keys[0] for one in change.fields} == {"tags"}
    assert group_of(deploy_pools(core=CORE))["scalingConfig"] == {"minSize": 0, "maxSize": 450, "desiredSize": 2}


def test_a_group_says_which_sizes_its_pool_has():
    assert group_of(deploy_pools(core=CORE))["tags"] == {"ml-platform/min-size": "2", "ml-platform/max-size": "4"}


def test_the_autoscaler_can_name_the_group_of_each_pool():
    names: dict[str, str] = {}

    def declare():
        pools = NodePools("nodes", pools_args(core=CORE, gpu=GPU))
        pulumi.Output.all(**pools.scaling_groups).apply(names.update)

    groups = wanted(deploy(declare), "aws:eks/nodeGroup:NodeGroup")
    assert set(groups) == {"nodes-core", "nodes-gpu"}
    assert {pool: name.rsplit("-", 6)[0] for pool, name in names.items()} == {
        pool: f"eks-nodes-{pool}" for pool in ("core", "gpu")
    }


def test_nodes_answer_metadata_requests_with_a_token_and_to_themselves_alone():
    options = template_of(deploy_pools(core=CORE))["metadataOptions"]
    assert options == {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1}


@pytest.mark.parametrize(
    ("pool", "throughput", "iops"),
    [
        (CORE, 125, 3000),
        (GPU, 500, 3000),
        (GPU.model_copy(update={"disk_throughput_mibps": 1000}), 1000, 4000),
    ],
    ids=["core", "gpu", "given"],
)
def test_disks_are_encrypted_and_as_fast_as_their_images_need(pool, throughput, iops):
    [disk] = template_of(deploy_pools(pool=pool))["blockDeviceMappings"]
    assert disk["deviceName"] == "/dev/xvda"
    assert disk["ebs"] == {
        "volumeType": "gp3",
        "volumeSize": pool.disk_gib,
        "throughput": throughput,
        "iops": iops,
        "encrypted": "true",
        "deleteOnTermination": "true",
    }


def test_what_a_node_consists_of_carries_the_tags_by_which_costs_are_told_apart():
    specifications = template_of(deploy_pools(core=CORE))["tagSpecifications"]
    assert {one["resourceType"] for one in specifications} == {"instance", "volume", "network-interface"}
    assert all(one["tags"]["Platform"] == "ml-platform-test" for one in specifications)


def test_a_nodes_user_data_is_a_node_config_that_sets_its_number_of_pods():
    message = email.message_from_bytes(base64.b64decode(node_user_data(110)))
    assert message.is_multipart()
    [part] = [one for one in message.walk() if not one.is_multipart()]
    assert part.get_content_type() == "application/node.eks.aws"
    config = yaml.safe_load(str(part.get_payload()))
    assert (config["apiVersion"], config["kind"]) == ("node.eks.aws/v1alpha1", "NodeConfig")
    assert config["spec"]["kubelet"]["config"] == {"maxPods": 110}


def test_the_group_starts_nodes_from_its_newest_template():
    deployment = deploy_pools(core=CORE)
    [template] = deployment.of_type("aws:ec2/launchTemplate:LaunchTemplate")
    newest = template.created.outputs["latestVersion"]
    assert group_of(deployment)["launchTemplate"] == {"id": template.created.id, "version": newest}


def test_a_pool_may_be_kept_to_some_zones():
    one_zone = GPU.model_copy(update={"zones": ("us-east-1b",)})
    assert group_of(deploy_pools(gpu=one_zone))["subnetIds"] == ["subnet-us-east-1b"]
    assert len(group_of(deploy_pools(core=CORE))["subnetIds"]) == 3


def test_a_group_that_may_be_empty_describes_its_nodes_to_the_autoscaler():
    deployment = deploy_pools(core=CORE, gpu=GPU)
    [gpu] = [one for one in deployment.of_type("aws:eks/nodeGroup:NodeGroup") if one.wanted.name == "nodes-gpu"]
    [scaling_group] = gpu.created.outputs["resources"][0]["autoscalingGroups"]
    tags = inputs_of(deployment, "aws:autoscaling/tag:Tag").values()
    assert {one["autoscalingGroupName"] for one in tags} == {scaling_group["name"]}
    assert {one["tag"]["key"]: one["tag"]["value"] for one in tags} == autoscaler_tags(node_labels("gpu", GPU), GPU)


def test_the_autoscaler_learns_of_labels_taint_gpus_and_disk():
    tags = autoscaler_tags(node_labels("gpu", GPU), GPU)
    assert tags == {
        f"{TEMPLATE}/label/ml-platform/pool": "gpu",
        f"{TEMPLATE}/label/ml-platform/capacity": "spot",
        f"{TEMPLATE}/label/nvidia.com/gpu.present": "true",
        f"{TEMPLATE}/label/k8s.amazonaws.com/accelerator": "nvidia-a10g-l4",
        f"{TEMPLATE}/taint/nvidia.com/gpu": "true:NoSchedule",
        f"{TEMPLATE}/resources/nvidia.com/gpu": "1",
        f"{TEMPLATE}/resources/ephemeral-storage": "170Gi",
    }


def test_nodes_wait_for_their_roles_policies_and_their_way_out():
    def declare():
        network = Network(
            "network",
            NetworkArgs(
                environment=ENVIRONMENT,
                zones=ZONES,
                settings=NetworkSettings(nat_gateways="single"),
                flow_log_bucket_arn=None,
            ),
        )
        args = NodePoolsArgs(
            environment=ENVIRONMENT,
            cluster_name="c",
            kubernetes_version="1.35",
            subnet_ids=network.private_subnet_ids,
            egress=network.egress,
            pools={"core": CORE},
        )
        NodePools("nodes", args)

    deployment = deploy(declare)
    [group] = wanted(deployment, "aws:eks/nodeGroup:NodeGroup").values()
    routes = [one for name, one in wanted(deployment, "aws:ec2/route:Route").items() if "nat" in name]
    attachments = wanted(deployment, "aws:iam/rolePolicyAttachment:RolePolicyAttachment").values()
    assert len(routes) == len(attachments) == 3
    assert {one.urn for one in (*routes, *attachments)} <= set(group.dependencies)
