"""WAF: requests that a load balancer blocks before they reach a service."""

from __future__ import annotations

from collections.abc import Mapping

from mlp.engine.cloud import Created, Place, Registration, physical_name
from mlp.engine.types.aws import forced_by_aws
from mlp.engine.types.facts import AwsType, Duration, Inputs, PriceRule
from mlp.engine.types.recorders import uuid
from mlp.engine.types.request import Fields, Nested, Request, pascal

_VISIBILITY = Nested(
    "VisibilityConfig",
    {
        **pascal("metricName", "sampledRequestsEnabled"),
        "cloudwatchMetricsEnabled": "CloudWatchMetricsEnabled",
    },
)
_ACTION: Fields = {name: Nested(name.capitalize(), {}) for name in ("allow", "block", "count")}
_RULE: Fields = {
    **pascal("name", "priority"),
    "action": Nested("Action", _ACTION),
    "statement": Nested(
        "Statement", {"rateBasedStatement": Nested("RateBasedStatement", pascal("limit", "aggregateKeyType"))}
    ),
    "visibilityConfig": _VISIBILITY,
}
_WEB_ACL: Fields = {
    **pascal("scope", "description"),
    "defaultAction": Nested("DefaultAction", _ACTION),
    "rules": Nested("Rules", _RULE),
    "visibilityConfig": _VISIBILITY,
}


def _record_web_acl(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name, id_ = inputs.get("name") or physical_name(wanted), uuid(wanted.urn)
    return Created(id=id_, outputs={"name": name, "arn": place.arn("wafv2", f"regional/webacl/{name}/{id_}")})


def _make_web_acl(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    tags = request.tag_list()
    acl = request.client("wafv2").create_web_acl(
        Name=name, **request.arguments(_WEB_ACL), **({"Tags": tags} if tags else {})
    )["Summary"]
    return Created(id=acl["Id"], outputs={"name": acl["Name"], "arn": acl["ARN"]})


TYPES: Mapping[str, AwsType] = {
    "aws:wafv2/webAcl:WebAcl": AwsType(
        replaced_by=forced_by_aws("wafv2/web_acl", "name namePrefix scope"),
        recorder=_record_web_acl,
        emulator=_make_web_acl,
        takes=Duration(10),
        precious=None,
        price=PriceRule.WEB_ACL,
    ),
}
