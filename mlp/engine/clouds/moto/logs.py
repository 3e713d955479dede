"""CloudWatch Logs: log groups."""

from __future__ import annotations

from mlp.engine.cloud import Created, physical_name
from mlp.engine.clouds.moto.request import Handler, Request, same


def _log_group(request: Request) -> Created:
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


HANDLERS: dict[str, Handler] = {"aws:cloudwatch/logGroup:LogGroup": _log_group}
