import json

from infra.registry import ImageRegistry, ImageRegistryArgs
from tests.builders import deploy, inputs_of


def deploy_registry():
    args = ImageRegistryArgs(environment="dev", images=("training",), deletable=True)
    return deploy(lambda: ImageRegistry("images", args))


def test_image_tags_never_move_but_for_the_build_cache():
    [repository] = inputs_of(deploy_registry(), "aws:ecr/repository:Repository").values()
    assert repository["name"] == "ml-platform/dev/training"
    assert repository["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert repository["imageTagMutabilityExclusionFilters"] == [{"filter": "cache*", "filterType": "WILDCARD"}]


def test_images_are_encrypted_scanned_and_expire():
    registry = deploy_registry()
    [repository] = inputs_of(registry, "aws:ecr/repository:Repository").values()
    assert repository["encryptionConfigurations"] == [{"encryptionType": "KMS"}]
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    [expiry] = inputs_of(registry, "aws:ecr/lifecyclePolicy:LifecyclePolicy").values()
    untagged, old = (rule["selection"] for rule in json.loads(expiry["policy"])["rules"])
    assert (untagged["tagStatus"], untagged["countNumber"]) == ("untagged", 7)
    assert (old["tagStatus"], old["countNumber"]) == ("any", 50)
