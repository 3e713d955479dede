"""Changes that lie within secrets alone, and what follows a replacement."""

from dataclasses import replace

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from infra.data.image import Image, ImageArgs
from mlp.engine.clouds.recording import RecordingCloud
from mlp.engine.deployment import run_program
from mlp.engine.programs import Program
from mlp.engine.values import Secret, secret_digests
from mlp.plan.planned import program_plan
from mlp.review.changes.differences import compare_program
from tests.builders import deploy
from tests.mlp.review.changes.builders import VPC, changes_between, paths, resource

RELEASE = "kubernetes:helm.sh/v3:Release"
NAMESPACE = "kubernetes:core/v1:Namespace"
SECRET_VALUE = "aws:secretsmanager/secretVersion:SecretVersion"


def with_login(value):
    """The plan of a release that gets a login."""

    def declare():
        kubernetes.helm.v3.Release("app", chart="app", values={"login": {"a.b": pulumi.Output.secret(value)}, "n": 1})

    return program_plan(deploy(declare))


def test_a_secret_that_differs_is_a_change_and_is_not_shown():
    [change] = compare_program(with_login("one"), with_login("other")).resources
    assert (change.kind, paths(change)) == ("changed", {'values.login["a.b"]': ("[secret]", "[another secret]")})
    assert compare_program(with_login("one"), with_login("one")).resources == ()


def test_a_plan_without_digests_does_not_tell_whether_a_secret_differs():
    before = with_login("one")
    undigested = {urn: replace(one, secrets={}) for urn, one in before.resources.items()}
    assert compare_program(replace(before, resources=undigested), with_login("other")).resources == ()


def test_a_secret_whose_changes_are_ignored_does_not_change():
    before, after = with_login("one"), with_login("other")
    ignoring = {urn: replace(one, ignore_changes=("values.login",)) for urn, one in after.resources.items()}
    assert compare_program(before, replace(after, resources=ignoring)).resources == ()


def test_another_secret_replaces_what_cannot_be_changed():
    old, new = (
        resource(SECRET_VALUE, "login", {"secretString": "[secret]"}, secrets={"secretString": one}) for one in "ab"
    )
    assert changes_between((old,), (new,))["replaced login"].forced_by == ("secretString",)


def test_the_kubeconfig_of_another_role_changes_the_provider_and_nothing_that_it_made():
    def both(digest):
        provider = resource(
            "pulumi:providers:kubernetes", "k8s", {"kubeconfig": "[secret]"}, secrets={"kubeconfig": digest}
        )
        return provider, resource(NAMESPACE, "jobs", provider=provider.urn)

    assert set(changes_between(both("a"), both("b"))) == {"changed k8s"}


def test_what_is_unknown_until_a_replacement_exists_is_named_by_its_path():
    def both(cidr):
        vpc = resource(VPC, "net", {"cidrBlock": cidr}, id_="vpc-0123")
        values = {"values": {"vpcId": "vpc-0123", "hosts": [{"net": "vpc-0123"}, {"net": "other"}], "n": 1}}
        return vpc, resource(RELEASE, "app", values, needs=(vpc,))

    change = changes_between(both("10.0.0.0/16"), both("10.1.0.0/16"))["changed app"]
    assert set(paths(change)) == {"values.vpcId", "values.hosts[0].net"}
    assert {new for _, new in paths(change).values()} == {"<known after net is replaced>"}


def test_digests_are_told_apart_by_path_and_value():
    digests = secret_digests({"a": Secret("x"), "b": [1, {"c.d": Secret("x"), "e": Secret({"k": 1})}], "f": "plain"})
    assert set(digests) == {"a", 'b[1]["c.d"]', "b[1].e"}
    assert digests["a"] == digests['b[1]["c.d"]'] != digests["b[1].e"]
    assert secret_digests({"e": Secret({"k": 2})})["e"] != digests["b[1].e"]


def test_a_value_that_was_encrypted_anew_shows_as_another_secret(tmp_path):
    program = Program(label="sample", folder=tmp_path)
    (tmp_path / "Pulumi.yaml").write_text("name: sample\nruntime: python\n")
    (tmp_path / "__main__.py").write_text(
        "import pulumi, pulumi_kubernetes\n"
        "pulumi_kubernetes.core.v1.ConfigMap('told', data={'token': pulumi.Config().require_secret('token')})\n"
    )

    def plan(stack, ciphertext):
        (tmp_path / f"Pulumi.{stack}.yaml").write_text(f"config:\n  token:\n    secure: {ciphertext}\n")
        return program_plan(run_program(program, stack, RecordingCloud()))

    one, other = plan("one", "v1:abc"), plan("two", "v1:abd")
    digests = [set(next(iter(made.resources.values())).secrets.values()) for made in (one, other)]
    assert digests[0] != digests[1]
    assert "v1:ab" not in str(one.resources)


def test_a_digest_does_not_depend_on_what_an_image_is_made_of(tmp_path):
    def plan(content):
        (tmp_path / "src").mkdir(exist_ok=True)
        (tmp_path / "src" / "main.py").write_text(content)
        (tmp_path / "src" / "Dockerfile").write_text("FROM scratch\nCOPY src /src\n")

        def declare():
            image = Image("tool", ImageArgs(repository_url="r/x", context=tmp_path, dockerfile="src/Dockerfile"))
            kubernetes.core.v1.ConfigMap("told", data={"tag": pulumi.Output.secret(image.tag)})

        return program_plan(deploy(declare))

    assert compare_program(plan("one"), plan("other")).resources == ()


def test_a_secret_of_a_renamed_resource_is_not_compared():
    def plan(name, *aliases):
        def declare():
            made = aws.s3.Bucket(name, opts=pulumi.ResourceOptions(aliases=[pulumi.Alias(name=one) for one in aliases]))
            arn: pulumi.Output[str] = pulumi.Output.secret(made.arn)
            kubernetes.core.v1.ConfigMap("told", data={"arn": arn})

        return program_plan(deploy(declare))

    assert [one.entry.name for one in compare_program(plan("data"), plan("store", "data")).resources] == []
