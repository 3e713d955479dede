"""ECR: image repositories and what expires in them."""

from __future__ import annotations

from mlp.engine.cloud import Created, physical_name
from mlp.engine.clouds.moto.request import Fields, Handler, Nested, Request, same

_REPOSITORY: Fields = {
    **same("imageTagMutability"),
    "imageScanningConfiguration": Nested("imageScanningConfiguration", same("scanOnPush")),
    "imageTagMutabilityExclusionFilters": Nested("imageTagMutabilityExclusionFilters", same("filter", "filterType")),
    "encryptionConfigurations": Nested("encryptionConfiguration", same("encryptionType", "kmsKey")),
}


def _repository(request: Request) -> Created:
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


def _lifecycle_policy(request: Request) -> Created:
    fields = {"repository": "repositoryName", "policy": "lifecyclePolicyText"}
    policy = request.client("ecr").put_lifecycle_policy(**request.arguments(fields))
    return Created(id=policy["repositoryName"])


HANDLERS: dict[str, Handler] = {
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": _lifecycle_policy,
    "aws:ecr/repository:Repository": _repository,
}
