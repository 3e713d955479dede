import json

from infra.provider import aws_provider
from tests.builders import deploy, inputs_of


def provider_inputs(**args):
    deployment = deploy(lambda: aws_provider(region="us-east-1", environment="dev", **args))
    [inputs] = inputs_of(deployment, "pulumi:providers:aws").values()
    return inputs


def test_the_provider_acts_as_the_deploy_role_and_tags_what_it_makes():
    inputs = provider_inputs(deploy_role_arn="arn:aws:iam::123456789012:role/deploy")
    assert json.loads(inputs["assumeRoles"]) == [{"roleArn": "arn:aws:iam::123456789012:role/deploy"}]
    assert json.loads(inputs["defaultTags"])["tags"] == {
        "Project": "ml-platform",
        "Environment": "dev",
        "Platform": "ml-platform-dev",
        "ManagedBy": "pulumi",
    }
    assert "endpoints" not in inputs


def test_with_an_emulator_the_provider_talks_to_nothing_else():
    inputs = provider_inputs(emulator="http://127.0.0.1:4566")
    [endpoints] = json.loads(inputs["endpoints"])
    assert set(endpoints.values()) == {"http://127.0.0.1:4566"}
    assert {"s3", "ec2", "sts"} <= set(endpoints)
