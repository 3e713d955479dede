import json

import pulumi

from infra.provider import acting_kubeconfig, aws_provider
from mlp.engine.clouds.recording import RecordingCloud
from mlp.engine.deployment import run_program
from mlp.engine.values import revealed
from tests.builders import (
    PLATFORM_WITH_AIRFLOW,
    WORKLOADS_WITH_AIRFLOW,
    changed,
    deploy,
    deployed,
    inputs_of,
    planned_with_airflow,
)

ROLE = "arn:aws:iam::123456789012:role/ml-platform-deploy-dev"


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


def changed_types(one, other):
    """The types of the resources whose inputs differ; both plans have the same resources."""
    assert set(one.resources) == set(other.resources)
    return {
        resource.wanted.type
        for urn, resource in one.resources.items()
        if revealed(resource.wanted.inputs) != revealed(other.resources[urn].wanted.inputs)
    }


def test_a_program_without_the_role_that_deploys_differs_in_its_logins_alone():
    with_role = {"deploy_role_arn": ROLE}
    programs = (changed(one, **with_role) for one in (PLATFORM_WITH_AIRFLOW, WORKLOADS_WITH_AIRFLOW))
    platform, deploying = deployed("dev", *programs)
    references = {platform.reference: platform.outputs}
    previewing = run_program(WORKLOADS_WITH_AIRFLOW, "dev", RecordingCloud(), references=references)

    without = planned_with_airflow("dev")[0]
    logins = {"pulumi:providers:aws", "pulumi:providers:kubernetes"}
    assert changed_types(platform, without) == logins | {"eks:index:Cluster"}
    assert changed_types(deploying, previewing) == logins
    assert ROLE in str([revealed(one.wanted.inputs) for one in deploying.resources.values()])
    for one in (without, previewing):
        assert not [urn for urn, found in one.resources.items() if ROLE in str(revealed(found.wanted.inputs))]


def test_a_kubeconfig_loses_the_role_and_nothing_else():
    login = {"command": "aws", "args": ["eks", "get-token", "--role", ROLE, "--output", "json"], "env": [{"name": "A"}]}
    given = {"clusters": [{"name": "kubernetes"}], "users": [{"name": "aws", "user": {"exec": login}}]}
    told: list[str] = []

    def declare():
        for role in (None, ROLE):
            acting_kubeconfig(pulumi.Output.secret(json.dumps(given)), role).apply(told.append)

    deploy(declare)
    without, kept = map(json.loads, sorted(told, key=len))
    by_caller = {**login, "args": ["eks", "get-token", "--output", "json"]}
    assert without == {**given, "users": [{"name": "aws", "user": {"exec": by_caller}}]}
    assert kept == given
