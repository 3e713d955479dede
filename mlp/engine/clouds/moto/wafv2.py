"""WAF: what a load balancer refuses before it reaches a service."""

from __future__ import annotations

from mlp.engine.cloud import Created, physical_name
from mlp.engine.clouds.moto.request import Fields, Handler, Nested, Request, pascal

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


def _web_acl(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    tags = request.tag_list()
    acl = request.client("wafv2").create_web_acl(
        Name=name, **request.arguments(_WEB_ACL), **({"Tags": tags} if tags else {})
    )["Summary"]
    return Created(id=acl["Id"], outputs={"name": acl["Name"], "arn": acl["ARN"]})


HANDLERS: dict[str, Handler] = {"aws:wafv2/webAcl:WebAcl": _web_acl}
