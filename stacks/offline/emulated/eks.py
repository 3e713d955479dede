"""EKS: control planes and node groups."""

from __future__ import annotations

from typing import Any

from stacks.offline.cloud import Created, hex_digits, physical_name
from stacks.offline.emulated.request import Fields, Handler, Nested, Request, same

# The emulator accepts `accessConfig` and `bootstrapSelfManagedAddons` and forgets them.
_CLUSTER: Fields = {
    **same("roleArn", "version", "bootstrapSelfManagedAddons"),
    "vpcConfig": Nested(
        "resourcesVpcConfig",
        same("subnetIds", "securityGroupIds", "endpointPrivateAccess", "endpointPublicAccess", "publicAccessCidrs"),
    ),
    "accessConfig": Nested("accessConfig", same("authenticationMode", "bootstrapClusterCreatorAdminPermissions")),
}
_NODE_GROUP: Fields = {
    **same("clusterName", "instanceTypes", "amiType", "capacityType", "diskSize", "labels", "version"),
    "nodeRoleArn": "nodeRole",
    "subnetIds": "subnets",
    "scalingConfig": Nested("scalingConfig", same("minSize", "maxSize", "desiredSize")),
    "taints": Nested("taints", same("key", "value", "effect")),
    "launchTemplate": Nested("launchTemplate", same("id", "name", "version")),
}


def _cluster(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    tags = request.tags()
    arguments = request.arguments(_CLUSTER)
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
    """What EKS makes with a cluster and the emulator does not: one group for control plane and nodes, open to itself
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


def _node_group(request: Request) -> Created:
    name = request.take("nodeGroupName") or physical_name(request.wanted)
    group = request.client("eks").create_nodegroup(
        nodegroupName=name, tags=request.tags(), **request.arguments(_NODE_GROUP)
    )["nodegroup"]
    return Created(
        id=f"{group['clusterName']}:{group['nodegroupName']}",
        outputs={"nodeGroupName": group["nodegroupName"], "arn": group["nodegroupArn"]},
    )


HANDLERS: dict[str, Handler] = {
    "aws:eks/cluster:Cluster": _cluster,
    "aws:eks/nodeGroup:NodeGroup": _node_group,
}
