"""SNS: topics, who may publish to them, and who is notified."""

from __future__ import annotations

from collections.abc import Mapping

from mlp.engine.cloud import Created, Place, Registration, physical_name
from mlp.engine.types.aws import AT_ONCE, NOTICES_ARE_FREE, forced_by_aws
from mlp.engine.types.facts import AwsType, Inputs
from mlp.engine.types.recorders import named_by, uuid
from mlp.engine.types.request import Request, pascal


def _record_topic(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name = inputs.get("name") or physical_name(wanted)
    arn = place.arn("sns", name)
    return Created(id=arn, outputs={"name": name, "arn": arn})


def _record_subscription(wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    arn = f"{inputs['topic']}:{uuid(wanted.urn)}"
    return Created(id=arn, outputs={"arn": arn})


def _make_topic(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    tags = request.tag_list()
    request.arguments({})
    arn = request.client("sns").create_topic(Name=name, Tags=tags)["TopicArn"]
    return Created(id=arn, outputs={"name": name, "arn": arn})


def _make_topic_policy(request: Request) -> Created:
    arguments = request.arguments({"arn": "TopicArn", "policy": "AttributeValue"})
    request.client("sns").set_topic_attributes(AttributeName="Policy", **arguments)
    return Created(id=arguments["TopicArn"])


def _make_subscription(request: Request) -> Created:
    arguments = request.arguments({"topic": "TopicArn", **pascal("protocol", "endpoint")})
    # AWS waits for the address to confirm; the emulator takes it for confirmed.
    arn = request.client("sns").subscribe(ReturnSubscriptionArn=True, **arguments)["SubscriptionArn"]
    return Created(id=arn, outputs={"arn": arn})


TYPES: Mapping[str, AwsType] = {
    "aws:sns/topic:Topic": AwsType(
        replaced_by=forced_by_aws("sns/topic", "fifoTopic name namePrefix"),
        recorder=_record_topic,
        emulator=_make_topic,
        takes=AT_ONCE,
        precious=None,
        price=NOTICES_ARE_FREE,
    ),
    "aws:sns/topicPolicy:TopicPolicy": AwsType(
        replaced_by=forced_by_aws("sns/topic_policy", "arn"),
        recorder=named_by("arn"),
        emulator=_make_topic_policy,
        takes=AT_ONCE,
        precious=None,
        price=NOTICES_ARE_FREE,
    ),
    "aws:sns/topicSubscription:TopicSubscription": AwsType(
        replaced_by=forced_by_aws("sns/topic_subscription", "endpoint protocol topic"),
        recorder=_record_subscription,
        emulator=_make_subscription,
        takes=AT_ONCE,
        precious=None,
        price=NOTICES_ARE_FREE,
    ),
}
