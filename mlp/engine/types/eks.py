"""EKS: control planes and node groups."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from mlp.engine.cloud import Created, Place, Registration, hex_digits, physical_name
from mlp.engine.types.aws import AT_ONCE, forced_by_aws
from mlp.engine.types.facts import AwsType, Duration, Inputs, PriceRule
from mlp.engine.types.recorders import named_by, uuid
from mlp.engine.types.request import Fields, Nested, Request, same
from mlp.shared.errors import PlatformError

_ADDONS = "24 s before there are nodes, in a Terraform log; their pods have to start after that"
_NODE_GROUPS = "1m48s to 2m48s, https://github.com/DevopsArtFactory/terraform-provisioning/pull/46"
_CLUSTERS = (
    "8m12s to 12m18s in twelve Terraform logs, one of them "
    "https://github.com/terraform-aws-modules/terraform-aws-eks/pull/3218; 13 to 16 min in others; 748 s for the whole "
    "component in https://github.com/pulumi/pulumi-eks/issues/1819"
)
# The emulator accepts these and forgets them: `accessConfig`, `bootstrapSelfManagedAddons`, `deletionProtection`,
# `upgradePolicy`.
_CLUSTER: Fields = {
    **same("roleArn", "version", "bootstrapSelfManagedAddons", "deletionProtection"),
    "vpcConfig": Nested(
        "resourcesVpcConfig",
        same("subnetIds", "securityGroupIds", "endpointPrivateAccess", "endpointPublicAccess", "publicAccessCidrs"),
    ),
    "accessConfig": Nested("accessConfig", same("authenticationMode", "bootstrapClusterCreatorAdminPermissions")),
    "encryptionConfig": Nested(
        "encryptionConfig", {**same("resources"), "provider": Nested("provider", same("keyArn"))}
    ),
    "enabledClusterLogTypes": "logging",
    "upgradePolicy": Nested("upgradePolicy", same("supportType")),
}
_NODE_GROUP: Fields = {
    **same("clusterName", "instanceTypes", "amiType", "capacityType", "diskSize", "labels", "version"),
    "nodeRoleArn": "nodeRole",
    "subnetIds": "subnets",
    "scalingConfig": Nested("scalingConfig", same("minSize", "maxSize", "desiredSize")),
    "taints": Nested("taints", same("key", "value", "effect")),
    "launchTemplate": Nested("launchTemplate", same("id", "name", "version")),
    "updateConfig": Nested("updateConfig", same("maxUnavailable", "maxUnavailablePercentage")),
    "nodeRepairConfig": Nested("nodeRepairConfig", same("enabled")),
}
_KEPT_WHEN_UPDATED = ("updateConfig", "nodeRepairConfig")


def _record_cluster(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name = inputs.get("name") or physical_name(wanted)
    number = hex_digits(wanted.urn, 32).upper()
    return Created(
        id=name,
        outputs={
            "name": name,
            "arn": place.arn("eks", f"cluster/{name}"),
            "endpoint": f"https://{number}.gr7.{place.region}.eks.amazonaws.com",
            "certificateAuthority": {"data": base64.b64encode(b"recorded certificate authority").decode()},
            "identities": [{"oidcs": [{"issuer": f"https://oidc.eks.{place.region}.amazonaws.com/id/{number}"}]}],
            "status": "ACTIVE",
            "vpcConfig": {
                **inputs["vpcConfig"],
                "clusterSecurityGroupId": f"sg-{hex_digits(wanted.urn + '/security-group', 17)}",
            },
        },
    )


def _record_node_group(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name = inputs.get("nodeGroupName") or physical_name(wanted)
    arn = place.arn("eks", f"nodegroup/{inputs['clusterName']}/{name}/{hex_digits(wanted.urn, 32)}")
    group = {"autoscalingGroups": [{"name": f"eks-{name}-{uuid(wanted.urn)}"}], "remoteAccessSecurityGroupId": ""}
    outputs = {"nodeGroupName": name, "arn": arn, "resources": [group], "status": "ACTIVE"}
    return Created(id=f"{inputs['clusterName']}:{name}", outputs=outputs)


def _record_access_association(_wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    return Created(id="#".join(inputs[key] for key in ("clusterName", "principalArn", "policyArn")))


def _record_access_entry(_wanted: Registration, inputs: Inputs, place: Place) -> Created:
    cluster, principal = inputs["clusterName"], inputs["principalArn"]
    _, _, _, _, account, role = principal.split(":", 5)
    name = role.rpartition("/")[2]
    arn = place.arn("eks", f"access-entry/{cluster}/role/{account}/{name}/{uuid(principal)}")
    return Created(id=f"{cluster}:{principal}", outputs={"accessEntryArn": arn, "type": "STANDARD"})


def _make_cluster(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    tags = request.tags()
    arguments = request.arguments(_CLUSTER)
    if "encryptionConfig" in arguments:
        arguments["encryptionConfig"] = [arguments["encryptionConfig"]]
    if types := arguments.pop("logging", None):
        arguments["logging"] = {"clusterLogging": [{"types": types, "enabled": True}]}
    subnets = request.client("ec2").describe_subnets(SubnetIds=arguments["resourcesVpcConfig"]["subnetIds"])["Subnets"]
    cluster = request.client("eks").create_cluster(name=name, tags=tags, **arguments)["cluster"]
    group = _security_group(request, cluster["name"], subnets[0]["VpcId"])
    return Created(
        id=cluster["name"],
        outputs={
            "name": cluster["name"],
            "arn": cluster["arn"],
            "endpoint": cluster["endpoint"],
            "certificateAuthority": {"data": cluster["certificateAuthority"]["data"]},
            "identities": [{"oidcs": [{"issuer": cluster["identity"]["oidc"]["issuer"]}]}],
            "status": cluster["status"],
            "vpcConfig": {**cluster["resourcesVpcConfig"], "clusterSecurityGroupId": group},
        },
    )


def _security_group(request: Request, cluster: str, vpc: str) -> str:
    """Create the cluster's security group, which EKS makes and the emulator does not; return its id.

    Control plane and nodes share it, and it is open to itself
    (https://docs.aws.amazon.com/eks/latest/userguide/sec-group-reqs.html).
    """
    ec2 = request.client("ec2")
    name = f"eks-cluster-sg-{cluster}-{hex_digits(request.wanted.urn, 10)}"
    tags = {"Name": name, f"kubernetes.io/cluster/{cluster}": "owned"}
    id_: str = ec2.create_security_group(
        GroupName=name,
        Description="EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, "
        "as well as any managed workloads.",
        VpcId=vpc,
        TagSpecifications=[
            {
                "ResourceType": "security-group",
                "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            }
        ],
    )["GroupId"]
    itself: dict[str, Any] = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": id_}]}
    ec2.authorize_security_group_ingress(GroupId=id_, IpPermissions=[itself])
    return id_


def _make_node_group(request: Request) -> Created:
    name = request.take("nodeGroupName") or physical_name(request.wanted)
    tags = request.tags()
    arguments = request.arguments(_NODE_GROUP)
    if "launchTemplate" not in arguments:
        raise PlatformError(
            f"{request.wanted.type} {request.wanted.name}: a node group without a launch template is not emulated; "
            "give it one, or add what EKS makes to mlp/engine/types/eks.py"
        )
    # The emulator forgets these on creation and keeps them on an update.
    later = {key: arguments.pop(key) for key in _KEPT_WHEN_UPDATED if key in arguments}
    eks = request.client("eks")
    group = eks.create_nodegroup(nodegroupName=name, tags=tags, **arguments)["nodegroup"]
    if later:
        eks.update_nodegroup_config(clusterName=group["clusterName"], nodegroupName=name, **later)
    scaling_groups = [one["name"] for one in group["resources"]["autoScalingGroups"]]
    for scaling_group in scaling_groups:
        _scaling_group(request, scaling_group, group)
    return Created(
        id=f"{group['clusterName']}:{group['nodegroupName']}",
        outputs={
            "nodeGroupName": group["nodegroupName"],
            "arn": group["nodegroupArn"],
            "resources": [
                {
                    "autoscalingGroups": [{"name": one} for one in scaling_groups],
                    "remoteAccessSecurityGroupId": "",
                }
            ],
            "status": group["status"],
        },
    )


def _scaling_group(request: Request, name: str, group: dict[str, Any]) -> None:
    """Create a node group's auto-scaling group, which the emulator only names.

    It has the tags by which the cluster autoscaler finds it
    (https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html), and stays empty, whatever the node
    group's sizes, so that no instances start.
    """
    cluster = group["clusterName"]
    tags = {
        "eks:cluster-name": cluster,
        "eks:nodegroup-name": group["nodegroupName"],
        "k8s.io/cluster-autoscaler/enabled": "true",
        f"k8s.io/cluster-autoscaler/{cluster}": "owned",
        f"kubernetes.io/cluster/{cluster}": "owned",
    }
    request.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchTemplate={
            "LaunchTemplateId": group["launchTemplate"]["id"],
            "Version": group["launchTemplate"]["version"],
        },
        MinSize=0,
        DesiredCapacity=0,
        MaxSize=group["scalingConfig"]["maxSize"],
        VPCZoneIdentifier=",".join(group["subnets"]),
        Tags=[
            {
                "ResourceId": name,
                "ResourceType": "auto-scaling-group",
                "Key": key,
                "Value": value,
                "PropagateAtLaunch": True,
            }
            for key, value in tags.items()
        ],
    )


TYPES: Mapping[str, AwsType] = {
    "aws:eks/accessEntry:AccessEntry": AwsType(
        replaced_by=forced_by_aws("eks/access_entry", "clusterName principalArn type"),
        recorder=_record_access_entry,
        emulator="moto answers CreateAccessEntry with `Not yet implemented`",
        takes=AT_ONCE,
        precious=None,
        price="access is free",
    ),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": AwsType(
        replaced_by=forced_by_aws("eks/access_policy_association", "accessScope clusterName policyArn principalArn"),
        recorder=_record_access_association,
        emulator="moto answers AssociateAccessPolicy with `Not yet implemented`",
        takes=AT_ONCE,
        precious=None,
        price="access is free",
    ),
    "aws:eks/addon:Addon": AwsType(
        replaced_by=forced_by_aws("eks/addon", "addonName clusterName namespaceConfig"),
        recorder=named_by("clusterName", "addonName"),
        emulator="moto answers CreateAddon with `Not yet implemented`",
        takes=Duration(45, _ADDONS),
        precious=None,
        price="an add-on is pods, which run on nodes that are counted",
    ),
    "aws:eks/cluster:Cluster": AwsType(
        replaced_by=forced_by_aws(
            "eks/cluster",
            "accessConfig.bootstrapClusterCreatorAdminPermissions bootstrapSelfManagedAddons "
            "kubernetesNetworkConfig.ipFamily kubernetesNetworkConfig.serviceIpv4Cidr name outpostConfig roleArn",
            perhaps="computeConfig encryptionConfig",
        ),
        recorder=_record_cluster,
        emulator=_make_cluster,
        takes=Duration(660, _CLUSTERS),
        precious="the cluster that runs everything",
        price=PriceRule.CLUSTER,
    ),
    "aws:eks/nodeGroup:NodeGroup": AwsType(
        replaced_by=forced_by_aws(
            "eks/node_group",
            "amiType capacityType clusterName diskSize instanceTypes launchTemplate.id launchTemplate.name "
            "nodeGroupName nodeGroupNamePrefix nodeRoleArn remoteAccess subnetIds",
        ),
        recorder=_record_node_group,
        emulator=_make_node_group,
        takes=Duration(150, _NODE_GROUPS),
        precious=None,
        price=PriceRule.NODE_GROUP,
    ),
}
