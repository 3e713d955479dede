"""Secrets Manager: secrets and their values."""

from __future__ import annotations

from mlp.engine.cloud import Created, prefixed_name
from mlp.engine.clouds.moto.request import Handler, Request, pascal


def _secret(request: Request) -> Created:
    request.not_held_by_aws("recoveryWindowInDays")
    prefix = request.take("namePrefix")
    name = request.take("name") or prefixed_name(request.wanted, {"namePrefix": prefix})
    secret = request.client("secretsmanager").create_secret(
        Name=name, Tags=request.tag_list(), **request.arguments(pascal("description", "kmsKeyId"))
    )
    return Created(id=secret["ARN"], outputs={"name": secret["Name"], "arn": secret["ARN"]})


def _secret_version(request: Request) -> Created:
    version = request.client("secretsmanager").put_secret_value(**request.arguments(pascal("secretId", "secretString")))
    return Created(
        id=f"{version['ARN']}|{version['VersionId']}",
        outputs={"versionId": version["VersionId"]},
    )


HANDLERS: dict[str, Handler] = {
    "aws:secretsmanager/secret:Secret": _secret,
    "aws:secretsmanager/secretVersion:SecretVersion": _secret_version,
}
