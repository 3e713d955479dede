"""Security group rules: one rule a resource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlp.engine.cloud import Created
from mlp.engine.types.aws import AT_ONCE, LAYOUT_IS_FREE, forced_by_aws
from mlp.engine.types.facts import AwsType
from mlp.engine.types.recorders import with_id
from mlp.engine.types.request import Request, pascal


def _make_ingress_rule(request: Request) -> Created:
    return _rule(request, "authorize_security_group_ingress")


def _make_egress_rule(request: Request) -> Created:
    return _rule(request, "authorize_security_group_egress")


def _rule(request: Request, operation: str) -> Created:
    description = request.take("description")
    sources = {
        "referencedSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
        "cidrIpv4": ("IpRanges", "CidrIp"),
        "cidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
        "prefixListId": ("PrefixListIds", "PrefixListId"),
    }
    permission: dict[str, Any] = {}
    for key, (list_name, field) in sources.items():
        if (source := request.take(key)) is not None:
            permission[list_name] = [{field: source, **({"Description": description} if description else {})}]
    tags = request.tag_specifications("security-group-rule")
    arguments = request.arguments({"securityGroupId": "GroupId", **pascal("ipProtocol", "fromPort", "toPort")})
    group = arguments.pop("GroupId")
    made = getattr(request.client("ec2"), operation)(
        GroupId=group, IpPermissions=[{**permission, **arguments}], TagSpecifications=tags
    )
    return Created(id=made["SecurityGroupRules"][0]["SecurityGroupRuleId"])


TYPES: Mapping[str, AwsType] = {
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": AwsType(
        replaced_by=forced_by_aws("ec2/vpc_security_group_egress_rule", "securityGroupId"),
        recorder=with_id("sgr"),
        emulator=_make_egress_rule,
        takes=AT_ONCE,
        precious=None,
        price=LAYOUT_IS_FREE,
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": AwsType(
        replaced_by=forced_by_aws("ec2/vpc_security_group_ingress_rule", "securityGroupId"),
        recorder=with_id("sgr"),
        emulator=_make_ingress_rule,
        takes=AT_ONCE,
        precious=None,
        price=LAYOUT_IS_FREE,
    ),
}
