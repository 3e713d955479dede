"""Auto Scaling: tags on the groups that EKS makes for node groups."""

from __future__ import annotations

from mlp.engine.cloud import Created
from mlp.engine.clouds.moto.request import Fields, Handler, Nested, Request, pascal
from mlp.shared.errors import PlatformError

_TAG: Fields = {
    "autoscalingGroupName": "ResourceId",
    "tag": Nested("Tag", pascal("key", "value", "propagateAtLaunch")),
}


def _tag(request: Request) -> Created:
    arguments = request.arguments(_TAG)
    group, tag = arguments["ResourceId"], arguments["Tag"]
    autoscaling = request.client("autoscaling")
    if not autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]:
        # AWS refuses this by itself; the emulator breaks.
        raise PlatformError(f"{request.wanted.type} {request.wanted.name}: there is no auto-scaling group {group}")
    autoscaling.create_or_update_tags(Tags=[{"ResourceId": group, "ResourceType": "auto-scaling-group", **tag}])
    return Created(id=f"{group},{tag['Key']}")


HANDLERS: dict[str, Handler] = {"aws:autoscaling/tag:Tag": _tag}
