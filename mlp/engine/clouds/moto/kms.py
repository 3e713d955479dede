"""KMS: keys."""

from __future__ import annotations

from mlp.engine.cloud import Created
from mlp.engine.clouds.moto.request import Handler, Request, pascal


def _key(request: Request) -> Created:
    request.not_held_by_aws("deletionWindowInDays")
    rotated = request.take("enableKeyRotation", False)
    tags = [{"TagKey": key, "TagValue": value} for key, value in request.tags().items()]
    kms = request.client("kms")
    key = kms.create_key(Tags=tags, **request.arguments(pascal("description", "policy")))["KeyMetadata"]
    if rotated:
        kms.enable_key_rotation(KeyId=key["KeyId"])
    return Created(id=key["KeyId"], outputs={"keyId": key["KeyId"], "arn": key["Arn"]})


HANDLERS: dict[str, Handler] = {"aws:kms/key:Key": _key}
