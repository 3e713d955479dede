"""CloudWatch: alarms on the metrics of AWS's services, and rules that match their events (EventBridge)."""

from __future__ import annotations

from mlp.engine.cloud import Created, physical_name
from mlp.engine.clouds.moto.request import Handler, Request, pascal


def _alarm(request: Request) -> Created:
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


def _event_rule(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    made = request.client("events").put_rule(
        Name=name, Tags=request.tag_list(), **request.arguments(pascal("description", "eventPattern"))
    )
    return Created(id=name, outputs={"name": name, "arn": made["RuleArn"]})


HANDLERS: dict[str, Handler] = {
    "aws:cloudwatch/eventRule:EventRule": _event_rule,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _alarm,
}
