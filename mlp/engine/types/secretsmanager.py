"""Secrets Manager: secrets and their values."""

from __future__ import annotations

from collections.abc import Mapping

from mlp.engine.cloud import Created, Place, Registration, hex_digits, prefixed_name
from mlp.engine.types.aws import AT_ONCE, forced_by_aws
from mlp.engine.types.facts import AwsType, Inputs, PriceRule
from mlp.engine.types.request import Request, pascal


def _record_secret(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name = inputs.get("name") or prefixed_name(wanted, inputs)
    arn = place.arn("secretsmanager", f"secret:{name}-{hex_digits(wanted.urn, 6)}")
    return Created(id=arn, outputs={"name": name, "arn": arn})


def _record_secret_version(wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    version = hex_digits(wanted.urn, 32)
    return Created(id=f"{inputs['secretId']}|{version}", outputs={"versionId": version})


def _make_secret(request: Request) -> Created:
    request.not_held_by_aws("recoveryWindowInDays")
    prefix = request.take("namePrefix")
    name = request.take("name") or prefixed_name(request.wanted, {"namePrefix": prefix})
    secret = request.client("secretsmanager").create_secret(
        Name=name, Tags=request.tag_list(), **request.arguments(pascal("description", "kmsKeyId"))
    )
    return Created(id=secret["ARN"], outputs={"name": secret["Name"], "arn": secret["ARN"]})


def _make_secret_version(request: Request) -> Created:
    version = request.client("secretsmanager").put_secret_value(**request.arguments(pascal("secretId", "secretString")))
    return Created(
        id=f"{version['ARN']}|{version['VersionId']}",
        outputs={"versionId": version["VersionId"]},
    )


TYPES: Mapping[str, AwsType] = {
    "aws:secretsmanager/secret:Secret": AwsType(
        replaced_by=forced_by_aws("secretsmanager/secret", "name namePrefix type"),
        recorder=_record_secret,
        emulator=_make_secret,
        takes=AT_ONCE,
        precious="a secret that logins are kept in",
        price=PriceRule.SECRET,
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": AwsType(
        replaced_by=forced_by_aws(
            "secretsmanager/secret_version", "secretBinary secretId secretString secretStringWoVersion"
        ),
        recorder=_record_secret_version,
        emulator=_make_secret_version,
        takes=AT_ONCE,
        precious=None,
        price="counted with its secret",
    ),
}
