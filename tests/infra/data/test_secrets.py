"""Generated passwords and the Secrets that carry them: what makes them new, and what leaves them as they are."""

import json

import pulumi
import pytest

from infra.data.external_secret import ExternalSecret, ExternalSecretArgs
from infra.data.secrets import StoredSecret, StoredSecretArgs, generated_password, secrets_access
from mlp.engine.values import Secret
from tests.builders import deploy, inputs_of, wanted
from tests.infra.builders import environment

PASSWORD = "random:index/randomPassword:RandomPassword"
EXTERNAL_SECRET = "kubernetes:external-secrets.io/v1:ExternalSecret"


@pytest.mark.parametrize(("given", "kept"), [({}, "1"), ({"generation": 1}, "1"), ({"generation": 2}, "2")], ids=str)
def test_a_password_is_of_the_first_generation_until_another_is_asked_for(given, kept):
    def declare():
        pulumi.export("password", generated_password("it", **given, opts=pulumi.ResourceOptions()))

    deployment = deploy(declare)
    [password] = inputs_of(deployment, PASSWORD).values()
    assert password["keepers"] == {"generation": kept}
    assert (password["length"], password["special"]) == (32, False)
    assert isinstance(deployment.outputs["password"], Secret)


def external_secret(**given):
    """The manifest of an ExternalSecret, and the name that its users are told."""

    def declare():
        one = ExternalSecret(
            "it",
            ExternalSecretArgs(
                name="login", namespace="here", keys={"PGUSER": ("arn:a", "username")}, needs=[], **given
            ),
        )
        pulumi.export("name", one.secret_name)

    deployment = deploy(declare)
    [manifest] = inputs_of(deployment, EXTERNAL_SECRET).values()
    return manifest, deployment.outputs["name"]


@pytest.mark.parametrize(("given", "name"), [({}, "login-1"), ({"generation": 3}, "login-3")], ids=str)
def test_a_secret_in_the_cluster_is_named_after_its_generation(given, name):
    manifest, told = external_secret(**given)
    assert manifest["metadata"]["name"] == manifest["spec"]["target"]["name"] == told == name
    assert manifest["metadata"]["namespace"] == "here"


def test_a_secret_in_the_cluster_takes_each_key_from_its_place_and_is_waited_for():
    manifest, _ = external_secret()
    assert manifest["spec"]["data"] == [{"secretKey": "PGUSER", "remoteRef": {"key": "arn:a", "property": "username"}}]
    assert manifest["spec"]["target"]["creationPolicy"] == "Owner"
    assert manifest["metadata"]["annotations"] == {"pulumi.com/waitFor": "condition=Ready"}
    assert "template" not in manifest["spec"]["target"]
    templated, _ = external_secret(template={"url": "x://{{ .PGUSER }}"})
    assert templated["spec"]["target"]["template"] == {"mergePolicy": "Merge", "data": {"url": "x://{{ .PGUSER }}"}}


@pytest.mark.parametrize(("deletable", "days"), [(True, 0), (False, 30)])
def test_a_stored_secret_is_a_json_object_under_its_environments_prefix(deletable, days):
    def declare():
        args = StoredSecretArgs(environment=environment(deletable=deletable), value={"username": "a", "port": 5432})
        StoredSecret("login", args)

    deployment = deploy(declare)
    [secret] = inputs_of(deployment, "aws:secretsmanager/secret:Secret").values()
    assert secret["namePrefix"] == "ml-platform/test/login-"
    assert secret["recoveryWindowInDays"] == days
    [version] = wanted(deployment, "aws:secretsmanager/secretVersion:SecretVersion").values()
    assert json.loads(version.inputs["secretString"].value) == {"username": "a", "port": 5432}


def test_the_operator_reads_the_secrets_of_its_environment_alone():
    def declare():
        [access] = secrets_access(environment(region="eu-west-1"))
        pulumi.export("actions", list(access.actions))
        pulumi.export("resources", pulumi.Output.all(*access.resources))

    outputs = deploy(declare).outputs
    assert outputs["actions"] == ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
    assert outputs["resources"] == ["arn:aws:secretsmanager:eu-west-1:123456789012:secret:ml-platform/test/*"]
