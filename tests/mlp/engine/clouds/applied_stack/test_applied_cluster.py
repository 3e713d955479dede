"""The cluster of an applied stack and its nodes, asked through boto3."""

from __future__ import annotations

import base64
from email import message_from_string
from typing import Any

import pytest
import yaml

from tests.mlp.engine.clouds.applied import Applied, tags

POOLS = ("core", "gpu")
NODE_TEMPLATE = "k8s.io/cluster-autoscaler/node-template"
# Instance types, how they are bought, fewest and most nodes.
WANTED = {
    "dev": {
        "core": (["t3.large", "t3a.large", "m6i.large"], "SPOT", 2, 4),
        "gpu": (["g6.xlarge", "g5.xlarge"], "SPOT", 0, 2),
    },
    "prod": {
        "core": (["m7i.xlarge"], "ON_DEMAND", 2, 6),
        "gpu": (["g6.xlarge", "g5.xlarge"], "SPOT", 0, 5),
    },
}


@pytest.fixture(params=POOLS)
def pool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def template(applied: Applied, pool: str) -> dict[str, Any]:
    """What the nodes of a pool are started with."""
    used = applied.node_groups()[pool]["launchTemplate"]
    [version] = applied.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=used["id"], Versions=[used["version"]]
    )["LaunchTemplateVersions"]
    return dict(version["LaunchTemplateData"])


def cluster_of(applied: Applied) -> dict[str, Any]:
    cluster: dict[str, Any] = applied.client("eks").describe_cluster(name=f"ml-platform-{applied.stack}")["cluster"]
    return cluster


def test_the_cluster_runs_the_version_and_stands_in_the_subnets_of_its_environment(applied: Applied) -> None:
    cluster = cluster_of(applied)
    subnets = applied.subnets("public") + applied.subnets("private")

    assert cluster["version"] == "1.35"
    assert set(cluster["resourcesVpcConfig"]["subnetIds"]) == {subnet["SubnetId"] for subnet in subnets}
    assert cluster["endpoint"] in applied.outputs["kubeconfig"]
    assert applied.outputs["cluster_name"] == cluster["name"]


def test_production_shows_its_endpoint_to_the_network_alone(applied: Applied) -> None:
    network = cluster_of(applied)["resourcesVpcConfig"]

    assert network["endpointPrivateAccess"] is True
    assert network["endpointPublicAccess"] is (applied.stack == "dev")
    assert network.get("publicAccessCidrs", []) == (["0.0.0.0/0"] if applied.stack == "dev" else [])


def test_the_clusters_secrets_are_encrypted_with_a_key_that_rotates(applied: Applied) -> None:
    kms = applied.client("kms")
    [encryption] = cluster_of(applied)["encryptionConfig"]
    key = kms.describe_key(KeyId=encryption["provider"]["keyArn"])["KeyMetadata"]

    assert encryption["resources"] == ["secrets"]
    assert key["Enabled"] is True
    assert key["Description"] == f"Kubernetes secrets of ml-platform-{applied.stack}"
    assert kms.get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"] is True
    assert applied.inputs("aws:kms/key:Key")["deletionWindowInDays"] == (30 if applied.stack == "prod" else 7)


def test_the_control_planes_logs_go_to_a_group_that_ends_and_that_was_there_before(applied: Applied) -> None:
    cluster = applied.only("aws:eks/cluster:Cluster").wanted
    logged = [
        type_
        for setup in cluster_of(applied)["logging"]["clusterLogging"]
        if setup["enabled"]
        for type_ in setup["types"]
    ]
    groups = applied.client("logs").describe_log_groups(logGroupNamePrefix="/aws/eks/")["logGroups"]

    assert [(group["logGroupName"], group["retentionInDays"]) for group in groups] == [
        (f"/aws/eks/ml-platform-{applied.stack}/cluster", 90 if applied.stack == "prod" else 7)
    ]
    assert logged == (["api", "audit", "authenticator"] if applied.stack == "prod" else [])
    assert applied.only("aws:cloudwatch/logGroup:LogGroup", "cluster-log").wanted.urn in cluster.dependencies


def test_what_the_emulator_forgets_of_a_cluster_was_asked_for(applied: Applied) -> None:
    inputs = applied.inputs("aws:eks/cluster:Cluster")

    assert inputs["accessConfig"]["authenticationMode"] == "API"
    assert inputs["deletionProtection"] is (applied.stack == "prod")
    assert inputs["upgradePolicy"] == {"supportType": "STANDARD"}


def test_node_groups_scale_and_are_bought_as_their_pools_say(applied: Applied, pool: str) -> None:
    groups = applied.node_groups()
    assert set(groups) == set(POOLS)

    group, (types, capacity, fewest, most) = groups[pool], WANTED[applied.stack][pool]
    assert (group["instanceTypes"], group["capacityType"]) == (types, capacity)
    assert group["scalingConfig"] == {"minSize": 0, "maxSize": 450, "desiredSize": fewest}
    assert [group["tags"][f"ml-platform/{end}-size"] for end in ("min", "max")] == [str(fewest), str(most)]
    assert group["amiType"] == {"core": "AL2023_x86_64_STANDARD", "gpu": "AL2023_x86_64_NVIDIA"}[pool]
    assert group["version"] == cluster_of(applied)["version"]
    assert group["subnets"] == [subnet["SubnetId"] for subnet in applied.subnets("private")]
    assert group["updateConfig"] == {"maxUnavailablePercentage": 33}
    assert group["nodeRepairConfig"] == {"enabled": True}


def test_gpu_nodes_keep_other_pods_away_and_core_nodes_keep_none(applied: Applied) -> None:
    groups = applied.node_groups()

    assert groups["gpu"]["taints"] == [{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}]
    assert groups["core"]["taints"] == []


def test_the_autoscaler_owns_the_present_size(applied: Applied) -> None:
    for group in applied.deployment.of_type("aws:eks/nodeGroup:NodeGroup"):
        assert group.wanted.ignore_changes == ("scalingConfig.desiredSize",)


def test_nodes_wait_for_their_ways_out_and_rights(applied: Applied) -> None:
    way_out = {
        route.wanted.urn
        for route in applied.deployment.of_type("aws:ec2/route:Route")
        if "natGatewayId" in route.wanted.inputs
    }
    rights = {
        one.wanted.urn
        for one in applied.deployment.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
        if one.wanted.name.startswith("nodes-")
    }
    assert len(way_out) == 3
    assert len(rights) == 3
    for group in applied.deployment.of_type("aws:eks/nodeGroup:NodeGroup"):
        assert way_out | rights <= set(group.wanted.dependencies)


def test_pods_get_no_credentials_from_their_node(template: dict[str, Any]) -> None:
    assert template["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
    }


def test_a_nodes_disk_is_encrypted_and_fast_enough_for_its_images(template: dict[str, Any], pool: str) -> None:
    [disk] = template["BlockDeviceMappings"]
    size, throughput = {"core": (50, 125), "gpu": (200, 500)}[pool]

    assert disk == {
        "DeviceName": "/dev/xvda",
        "Ebs": {
            "VolumeType": "gp3",
            "VolumeSize": size,
            "Throughput": throughput,
            "Iops": 3000,
            "Encrypted": True,
            "DeleteOnTermination": True,
        },
    }
    assert throughput <= disk["Ebs"]["Iops"] / 4  # MiB/s; EC2 refuses more


def test_nodes_and_their_volumes_carry_the_tags_of_their_environment(
    applied: Applied, template: dict[str, Any], pool: str
) -> None:
    # The emulator adds the template's own tags to these, under its own kind.
    found = {
        one["ResourceType"]: tags(one)
        for one in template["TagSpecifications"]
        if one["ResourceType"] != "launch-template"
    }
    wanted = {
        "Project": "ml-platform",
        "Environment": applied.stack,
        "Platform": f"ml-platform-{applied.stack}",
        "ManagedBy": "pulumi",
        "Name": f"nodes-{pool}",
        "ml-platform/pool": pool,
    }
    assert found == dict.fromkeys(("instance", "volume", "network-interface"), wanted)


def test_a_node_takes_as_many_pods_as_prefixes_give_it_addresses_for(
    applied: Applied, template: dict[str, Any], pool: str
) -> None:
    _whole, part = message_from_string(base64.b64decode(template["UserData"]).decode()).walk()
    config = yaml.safe_load(str(part.get_payload()))

    assert part.get_content_type() == "application/node.eks.aws"
    assert (config["apiVersion"], config["kind"]) == ("node.eks.aws/v1alpha1", "NodeConfig")
    assert config["spec"] == {"kubelet": {"config": {"maxPods": 110}}}


def test_a_pools_scaling_group_spans_the_pools_subnets_and_is_found_by_the_autoscaler(
    applied: Applied, pool: str
) -> None:
    group, node_group = applied.scaling_group(pool), applied.node_groups()[pool]

    assert group["VPCZoneIdentifier"].split(",") == node_group["subnets"]
    assert group["MaxSize"] == node_group["scalingConfig"]["maxSize"]
    assert tags(group)[f"k8s.io/cluster-autoscaler/ml-platform-{applied.stack}"] == "owned"


def test_the_tags_of_an_empty_pool_describe_its_nodes_to_the_autoscaler(applied: Applied) -> None:
    group = applied.node_groups()["gpu"]
    found = {key: value for key, value in tags(applied.scaling_group("gpu")).items() if key.startswith(NODE_TEMPLATE)}

    assert found == {
        **{f"{NODE_TEMPLATE}/label/{key}": value for key, value in group["labels"].items()},
        f"{NODE_TEMPLATE}/taint/nvidia.com/gpu": "true:NoSchedule",
        f"{NODE_TEMPLATE}/resources/nvidia.com/gpu": "1",
        f"{NODE_TEMPLATE}/resources/ephemeral-storage": "170Gi",
    }
    assert group["labels"]["k8s.amazonaws.com/accelerator"].startswith("nvidia-")
    assert group["labels"]["nvidia.com/gpu.present"] == "true"


def test_a_pool_that_is_never_empty_needs_no_such_tags(applied: Applied) -> None:
    assert not [key for key in tags(applied.scaling_group("core")) if key.startswith(NODE_TEMPLATE)]
