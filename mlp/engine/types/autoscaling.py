"""Auto Scaling: tags on the groups that EKS makes for node groups."""

from __future__ import annotations

from collections.abc import Mapping

from mlp.engine.cloud import Created, Place, Registration
from mlp.engine.types.aws import AT_ONCE, forced_by_aws
from mlp.engine.types.facts import AwsType, Inputs
from mlp.engine.types.request import Fields, Nested, Request, pascal
from mlp.shared.errors import PlatformError

_TAG: Fields = {
    "autoscalingGroupName": "ResourceId",
    "tag": Nested("Tag", pascal("key", "value", "propagateAtLaunch")),
}


def _record_scaling_group_tag(_wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    return Created(id=f"{inputs['autoscalingGroupName']},{inputs['tag']['key']}")


def _make_tag(request: Request) -> Created:
    arguments = request.arguments(_TAG)
    group, tag = arguments["ResourceId"], arguments["Tag"]
    autoscaling = request.client("autoscaling")
    if not autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]:
        # AWS refuses this by itself; the emulator breaks.
        raise PlatformError(f"{request.wanted.type} {request.wanted.name}: there is no auto-scaling group {group}")
    autoscaling.create_or_update_tags(Tags=[{"ResourceId": group, "ResourceType": "auto-scaling-group", **tag}])
    return Created(id=f"{group},{tag['Key']}")


TYPES: Mapping[str, AwsType] = {
    "aws:autoscaling/tag:Tag": AwsType(
        replaced_by=forced_by_aws("autoscaling/tag", "autoscalingGroupName tag.key"),
        recorder=_record_scaling_group_tag,
        emulator=_make_tag,
        takes=AT_ONCE,
        precious=None,
        price="tags are free",
    ),
}
