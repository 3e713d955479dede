"""CloudWatch: alarms on the metrics of AWS's services, rules that match their events (EventBridge), log groups."""

from __future__ import annotations

from collections.abc import Mapping

from mlp.engine.cloud import Created, Place, Registration, physical_name
from mlp.engine.types.aws import AT_ONCE, forced_by_aws
from mlp.engine.types.facts import AwsType, Inputs, PriceRule
from mlp.engine.types.recorders import named_arn
from mlp.engine.types.request import Request, pascal, same

_EVENTS = "rules for AWS's own events are free"


def _record_event_rule(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name = inputs.get("name") or physical_name(wanted)
    return Created(id=name, outputs={"name": name, "arn": place.arn("events", f"rule/{name}")})


def _make_alarm(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    dimensions = [{"Name": key, "Value": value} for key, value in request.take("dimensions", {}).items()]
    cloudwatch = request.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Dimensions=dimensions,
        Tags=request.tag_list(),
        **request.arguments(
            pascal(
                "alarmActions",
                "alarmDescription",
                "comparisonOperator",
                "evaluationPeriods",
                "metricName",
                "namespace",
                "period",
                "statistic",
                "threshold",
                "treatMissingData",
            )
            | {"okActions": "OKActions"}
        ),
    )
    [made] = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return Created(id=name, outputs={"name": name, "arn": made["AlarmArn"]})


def _make_event_rule(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    made = request.client("events").put_rule(
        Name=name, Tags=request.tag_list(), **request.arguments(pascal("description", "eventPattern"))
    )
    return Created(id=name, outputs={"name": name, "arn": made["RuleArn"]})


def _make_log_group(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    days = request.take("retentionInDays")
    tags = request.tags()
    arguments = request.arguments(same("kmsKeyId"))
    logs = request.client("logs")
    logs.create_log_group(logGroupName=name, **arguments, **({"tags": tags} if tags else {}))
    if days:
        logs.put_retention_policy(logGroupName=name, retentionInDays=days)
    groups = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    [arn] = [group["arn"] for group in groups if group["logGroupName"] == name]
    return Created(id=name, outputs={"name": name, "arn": arn.removesuffix(":*")})


TYPES: Mapping[str, AwsType] = {
    "aws:cloudwatch/eventRule:EventRule": AwsType(
        replaced_by=forced_by_aws("events/rule", "eventBusName name namePrefix"),
        recorder=_record_event_rule,
        emulator=_make_event_rule,
        takes=AT_ONCE,
        precious=None,
        price=_EVENTS,
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": AwsType(
        replaced_by=forced_by_aws("cloudwatch/metric_alarm", "name"),
        recorder=named_arn("cloudwatch", "alarm"),
        emulator=_make_alarm,
        takes=AT_ONCE,
        precious=None,
        price=PriceRule.ALARM,
    ),
    "aws:cloudwatch/logGroup:LogGroup": AwsType(
        replaced_by=forced_by_aws("logs/group", "logGroupClass name namePrefix"),
        recorder=named_arn("logs", "log-group"),
        emulator=_make_log_group,
        takes=AT_ONCE,
        precious=None,
        price=PriceRule.LOG_GROUP,
    ),
}
