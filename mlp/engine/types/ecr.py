"""ECR: image repositories and their lifecycle policies."""

from __future__ import annotations

from collections.abc import Mapping

from mlp.engine.cloud import ACCOUNT, Created, Place, Registration, physical_name
from mlp.engine.types.aws import AT_ONCE, forced_by_aws
from mlp.engine.types.facts import AwsType, Inputs, PriceRule
from mlp.engine.types.recorders import named_by
from mlp.engine.types.request import Fields, Nested, Request, same

_REPOSITORY: Fields = {
    **same("imageTagMutability"),
    "imageScanningConfiguration": Nested("imageScanningConfiguration", same("scanOnPush")),
    "imageTagMutabilityExclusionFilters": Nested("imageTagMutabilityExclusionFilters", same("filter", "filterType")),
    "encryptionConfigurations": Nested("encryptionConfiguration", same("encryptionType", "kmsKey")),
}


def _record_repository(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name = inputs.get("name") or physical_name(wanted)
    return Created(
        id=name,
        outputs={
            "name": name,
            "arn": place.arn("ecr", f"repository/{name}"),
            "registryId": ACCOUNT,
            "repositoryUrl": f"{ACCOUNT}.dkr.ecr.{place.region}.amazonaws.com/{name}",
        },
    )


def _make_repository(request: Request) -> Created:
    request.not_held_by_aws("forceDelete")
    name = request.take("name") or physical_name(request.wanted)
    tags = request.tag_list()
    arguments = request.arguments(_REPOSITORY)
    if encryption := arguments.get("encryptionConfiguration"):
        [arguments["encryptionConfiguration"]] = encryption  # Pulumi's provider takes a list of one
    repository = request.client("ecr").create_repository(repositoryName=name, tags=tags, **arguments)["repository"]
    return Created(
        id=repository["repositoryName"],
        outputs={
            "name": repository["repositoryName"],
            "arn": repository["repositoryArn"],
            "registryId": repository["registryId"],
            "repositoryUrl": repository["repositoryUri"],
        },
    )


def _make_lifecycle_policy(request: Request) -> Created:
    fields = {"repository": "repositoryName", "policy": "lifecyclePolicyText"}
    policy = request.client("ecr").put_lifecycle_policy(**request.arguments(fields))
    return Created(id=policy["repositoryName"])


TYPES: Mapping[str, AwsType] = {
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": AwsType(
        replaced_by=forced_by_aws("ecr/lifecycle_policy", "policy repository"),
        recorder=named_by("repository"),
        emulator=_make_lifecycle_policy,
        takes=AT_ONCE,
        precious=None,
        price="rules are free; images are not",
    ),
    "aws:ecr/repository:Repository": AwsType(
        replaced_by=forced_by_aws("ecr/repository", "encryptionConfigurations name"),
        recorder=_record_repository,
        emulator=_make_repository,
        takes=AT_ONCE,
        precious="an image registry",
        price=PriceRule.REPOSITORY,
    ),
}
