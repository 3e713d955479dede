import json

import pytest

from infra.data.registry import ImageRegistry, ImageRegistryArgs
from tests.builders import deploy, inputs_of
from tests.infra.builders import environment


def deploy_registry(*, deletable=True):
    args = ImageRegistryArgs(environment=environment(deletable=deletable), images=("training",))
    return deploy(lambda: ImageRegistry("images", args))


def test_image_tags_never_move_but_for_the_build_cache():
    [repository] = inputs_of(deploy_registry(), "aws:ecr/repository:Repository").values()
    assert repository["name"] == "ml-platform/test/training"
    assert repository["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert repository["imageTagMutabilityExclusionFilters"] == [{"filter": "cache*", "filterType": "WILDCARD"}]


def test_images_are_encrypted_scanned_and_expire():
    registry = deploy_registry()
    [repository] = inputs_of(registry, "aws:ecr/repository:Repository").values()
    assert repository["encryptionConfigurations"] == [{"encryptionType": "KMS"}]
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    [expiry] = inputs_of(registry, "aws:ecr/lifecyclePolicy:LifecyclePolicy").values()
    assert expiry["repository"] == repository["name"]
    untagged, old = sorted(json.loads(expiry["policy"])["rules"], key=lambda rule: rule["rulePriority"])
    assert untagged["rulePriority"] < old["rulePriority"], "ECR takes `any` as the last rule alone"
    assert {rule["action"]["type"] for rule in (untagged, old)} == {"expire"}
    assert untagged["selection"] == {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": 7,
    }
    assert old["selection"] == {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 50}


@pytest.mark.parametrize("deletable", [True, False])
def test_a_repository_with_images_is_deleted_only_where_everything_may_be(deletable):
    [repository] = inputs_of(deploy_registry(deletable=deletable), "aws:ecr/repository:Repository").values()
    assert repository["forceDelete"] is deletable
