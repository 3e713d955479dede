"""Repositories of the platform's container images."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.environment import Environment
from infra.naming import repository_name

KEPT_IMAGES = 50
UNTAGGED_DAYS = 7
"""Days after which an untagged image expires; a build's cache leaves one whenever its tag moves."""


@dataclass(frozen=True, kw_only=True)
class ImageRegistryArgs:
    """Inputs of `ImageRegistry`: one repository is made for each of `images`."""

    environment: Environment
    images: tuple[str, ...]


class ImageRegistry(pulumi.ComponentResource):
    """One ECR repository an image: tags never move, pushes are scanned, old images expire."""

    repository_urls: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: ImageRegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:registry:ImageRegistry", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.repository_urls = {}
        for image in args.images:
            repository = aws.ecr.Repository(
                f"{name}-{image}",
                name=repository_name(args.environment.name, image),
                # The build cache is one tag that is written again by each build.
                image_tag_mutability="IMMUTABLE_WITH_EXCLUSION",
                image_tag_mutability_exclusion_filters=[{"filter": "cache*", "filter_type": "WILDCARD"}],
                image_scanning_configuration={"scan_on_push": True},
                encryption_configurations=[{"encryption_type": "KMS"}],
                force_delete=args.environment.deletable,
                opts=child,
            )
            aws.ecr.LifecyclePolicy(f"{name}-{image}-expiry", repository=repository.name, policy=_expiry(), opts=child)
            self.repository_urls[image] = repository.repository_url
        self.register_outputs({"repository_urls": self.repository_urls})


def _expiry() -> str:
    untagged = {
        "rulePriority": 1,
        "description": f"expire what has had no tag for {UNTAGGED_DAYS} days",
        "selection": {
            "tagStatus": "untagged",
            "countType": "sinceImagePushed",
            "countUnit": "days",
            "countNumber": UNTAGGED_DAYS,
        },
        "action": {"type": "expire"},
    }
    old = {
        "rulePriority": 2,
        "description": f"keep the newest {KEPT_IMAGES} images",
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": KEPT_IMAGES},
        "action": {"type": "expire"},
    }
    return json.dumps({"rules": [untagged, old]})
