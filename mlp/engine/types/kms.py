"""KMS: keys."""

from __future__ import annotations

from collections.abc import Mapping

from mlp.engine.cloud import Created, Place, Registration
from mlp.engine.types.aws import forced_by_aws
from mlp.engine.types.facts import AwsType, Duration, Inputs, PriceRule
from mlp.engine.types.recorders import uuid
from mlp.engine.types.request import Request, pascal


def _record_key(wanted: Registration, _inputs: Inputs, place: Place) -> Created:
    id_ = uuid(wanted.urn)
    return Created(id=id_, outputs={"keyId": id_, "arn": place.arn("kms", f"key/{id_}")})


def _make_key(request: Request) -> Created:
    request.not_held_by_aws("deletionWindowInDays")
    rotated = request.take("enableKeyRotation", False)
    tags = [{"TagKey": key, "TagValue": value} for key, value in request.tags().items()]
    kms = request.client("kms")
    key = kms.create_key(Tags=tags, **request.arguments(pascal("description", "policy")))["KeyMetadata"]
    if rotated:
        kms.enable_key_rotation(KeyId=key["KeyId"])
    return Created(id=key["KeyId"], outputs={"keyId": key["KeyId"], "arn": key["Arn"]})


TYPES: Mapping[str, AwsType] = {
    "aws:kms/key:Key": AwsType(
        replaced_by=forced_by_aws("kms/key", "customKeyStoreId customerMasterKeySpec keyUsage multiRegion xksKeyId"),
        recorder=_record_key,
        emulator=_make_key,
        takes=Duration(15),
        precious="the key that data can be read with",
        price=PriceRule.KEY,
    ),
}
