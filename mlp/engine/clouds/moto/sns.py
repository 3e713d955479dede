"""SNS: topics, who may publish to them, and who is told."""

from __future__ import annotations

from mlp.engine.cloud import Created, physical_name
from mlp.engine.clouds.moto.request import Handler, Request, pascal


def _topic(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    tags = request.tag_list()
    request.arguments({})
    arn = request.client("sns").create_topic(Name=name, Tags=tags)["TopicArn"]
    return Created(id=arn, outputs={"name": name, "arn": arn})


def _topic_policy(request: Request) -> Created:
    arguments = request.arguments({"arn": "TopicArn", "policy": "AttributeValue"})
    request.client("sns").set_topic_attributes(AttributeName="Policy", **arguments)
    return Created(id=arguments["TopicArn"])


def _subscription(request: Request) -> Created:
    arguments = request.arguments({"topic": "TopicArn", **pascal("protocol", "endpoint")})
    # AWS waits for the address to confirm; the emulator takes it for confirmed.
    arn = request.client("sns").subscribe(ReturnSubscriptionArn=True, **arguments)["SubscriptionArn"]
    return Created(id=arn, outputs={"arn": arn})


HANDLERS: dict[str, Handler] = {
    "aws:sns/topic:Topic": _topic,
    "aws:sns/topicPolicy:TopicPolicy": _topic_policy,
    "aws:sns/topicSubscription:TopicSubscription": _subscription,
}
