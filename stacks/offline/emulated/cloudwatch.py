"""CloudWatch: alarms on the metrics of AWS's services."""

from __future__ import annotations

from stacks.offline.cloud import Created, physical_name
from stacks.offline.emulated.request import Handler, Request, pascal


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
            )
            | {"okActions": "OKActions"}
        ),
    )
    [made] = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return Created(id=name, outputs={"name": name, "arn": made["AlarmArn"]})


HANDLERS: dict[str, Handler] = {"aws:cloudwatch/metricAlarm:MetricAlarm": _alarm}
