"""The pack that Pulumi runs: its policies, and the real thing spoken to as Pulumi does."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc  # type: ignore[import-untyped]  # it comes without types
import pytest
import yaml
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc
from pulumi_policy import ResourceValidationPolicy, StackValidationPolicy
from pulumi_policy.policy import _NotApplicableError
from pulumi_policy.proxy import UNKNOWN_ARRAY_VALUE, UNKNOWN_STRING_VALUE, unknown_checking_proxy

from mlp.engine.values import Secret
from mlp.review.policy.verdict import as_planned
from policies.rules import RULES, Level
from policies.rules.exemptions import Exemption
from policies.rules.model import UNKNOWN
from tests.builders import planned
from tests.policies.builders import RULE

PACK = Path(__file__).resolve().parents[2] / "policies"
CLOSED = dict.fromkeys(("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True)
TAGS = {"Project": "ml-platform", "Environment": "prod", "Platform": "ml-platform-prod", "ManagedBy": "pulumi"}


@pytest.fixture(scope="module")
def pack():
    """The pack's functions, without the serving that running it as a program does."""
    return SimpleNamespace(**runpy.run_path(str(PACK / "__main__.py"), run_name="pack"))


def shown(type_, properties, *, name="thing", stack="prod", dependencies=(), protect=False, provider=None):
    """A resource as Pulumi shows it to a policy."""
    return SimpleNamespace(
        urn=f"urn:pulumi:{stack}::ml-platform::{type_}::{name}",
        resource_type=type_,
        name=name,
        props=unknown_checking_proxy(properties),
        opts=SimpleNamespace(protect=protect),
        provider=SimpleNamespace(props=unknown_checking_proxy(provider)) if provider else None,
        dependencies=list(dependencies),
    )


def reports(policy, *resources):
    """What a policy reports, or the reason for which it does not apply."""

    def not_applicable(reason):
        raise _NotApplicableError(reason)

    reported: list[tuple[str, str | None]] = []

    def asked(args):
        policy.validate(args, lambda message, urn=None: reported.append((message, urn or getattr(args, "urn", None))))

    try:
        if isinstance(policy, StackValidationPolicy):
            asked(SimpleNamespace(resources=resources, not_applicable=not_applicable))
        for one in resources if isinstance(policy, ResourceValidationPolicy) else ():
            asked(SimpleNamespace(**vars(one), not_applicable=not_applicable))
    except _NotApplicableError as error:
        return error.reason
    return reported


def by_name(pack, exemptions=()):
    return {policy.name: policy for policy in pack.policies(exemptions)}


def test_every_rule_is_a_policy_at_each_of_its_levels(pack):
    found = {name: policy.enforcement_level.value for name, policy in by_name(pack).items()}
    both = {f"{rule.name}-advisory": "advisory" for rule in RULES if len(rule.levels) == 2}
    own = {rule.name: "advisory" if rule.level is Level.ADVISORY else "mandatory" for rule in RULES}
    assert found == {**own, **both, "exemptions": "mandatory"}
    assert "api-endpoint-closed-advisory" in both


def test_pulumi_finds_the_interpreter_that_has_the_rules_packages():
    description = yaml.safe_load((PACK / "PulumiPolicy.yaml").read_text())
    assert description["runtime"]["name"] == "python"
    assert (PACK / description["runtime"]["options"]["virtualenv"]).resolve() == PACK.parent / ".venv"


def test_a_policy_reports_what_its_rule_finds_on_the_resource_that_breaks_it(pack):
    policy = by_name(pack)["no-public-bucket"]
    bucket = shown("aws:s3/bucket:Bucket", {"arn": UNKNOWN_STRING_VALUE})
    assert [urn for _, urn in reports(policy, bucket)] == [bucket.urn]
    block = shown(
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        {**CLOSED, "bucket": UNKNOWN_STRING_VALUE},
        dependencies=[bucket],
    )
    assert reports(policy, bucket, block) == []


@pytest.mark.parametrize(("stack", "reported"), [("prod", "mandatory"), ("dev", "advisory"), ("local", None)])
def test_a_stack_lets_the_policy_of_its_own_level_run(pack, stack, reported):
    policies = by_name(pack)
    cluster = shown("aws:eks/cluster:Cluster", {"vpcConfig": {"endpointPublicAccess": True}}, stack=stack)
    mandatory = reports(policies["api-endpoint-closed"], cluster)
    advisory = reports(policies["api-endpoint-closed-advisory"], cluster)
    not_asked = f"in {stack} the rule has another level"
    assert (mandatory == not_asked, advisory == not_asked) == (reported != "mandatory", reported != "advisory")
    assert sum(isinstance(one, list) and len(one) == 1 for one in (mandatory, advisory)) == (reported is not None)


def test_what_only_the_offline_commands_know_does_not_apply(pack):
    reason = reports(by_name(pack)["within-budget"], shown("aws:budgets/budget:Budget", {"limitAmount": "1"}))
    assert reason == "prices are known offline alone: run `mlp policy`"
    assert RULE["within-budget"].offline_only_reason == reason


def test_options_and_the_providers_tags_are_seen(pack):
    tags = {"defaultTags": {"tags": TAGS}}
    seen = pack.as_planned(shown("aws:s3/bucket:Bucket", {}, protect=True, provider=tags))
    assert seen.protect
    assert seen.default_tags == TAGS
    assert pack.as_planned(shown("aws:s3/bucket:Bucket", {})).default_tags == {}


def test_what_a_preview_cannot_know_is_unknown_and_nothing_else_is_changed(pack):
    properties = {"known": [1.0, {"a": 1.5}, "text", None, True], "arn": UNKNOWN_STRING_VALUE}
    properties |= {"list": UNKNOWN_ARRAY_VALUE, "inner": [{"id": UNKNOWN_STRING_VALUE}]}
    assert pack.plain(unknown_checking_proxy(properties)) == {
        "known": [1, {"a": 1.5}, "text", None, True],
        "arn": UNKNOWN,
        "list": UNKNOWN,
        "inner": [{"id": UNKNOWN}],
    }


def exemption(until):
    return Exemption(
        rule="no-public-bucket", type="aws:s3/bucket:Bucket", name="thing", reason="It is public.", until=until
    )


def test_an_exemption_holds_in_the_pack_too(pack):
    policies = by_name(pack, [exemption(date.max)])
    bucket = shown("aws:s3/bucket:Bucket", {})
    assert reports(policies["no-public-bucket"], bucket) == []
    assert reports(policies["exemptions"], bucket) == []
    # One program is seen at a time: what covers nothing in this one may be needed by another.
    assert reports(policies["no-public-bucket"], shown("aws:ec2/vpc:Vpc", {})) == []


def test_an_exemption_that_is_over_stops_a_deployment(pack):
    policies = by_name(pack, [exemption(date(2020, 1, 1))])
    bucket = shown("aws:s3/bucket:Bucket", {})
    [(message, urn)] = reports(policies["exemptions"], bucket)
    assert "no-public-bucket ended on 2020-01-01" in message
    assert urn is None
    assert [urn for _, urn in reports(policies["no-public-bucket"], bucket)] == [bucket.urn]


def test_a_preview_of_nothing_breaks_nothing(pack):
    assert all(isinstance(reports(policy), str | list) for policy in pack.policies(()))


# From here on the real pack, as Pulumi starts it: a program that serves gRPC on the port it prints.


@pytest.fixture(scope="module")
def served():
    """A connection to the pack, started in its own folder as Pulumi does: unbuffered, for the SDK flushes nothing."""
    with subprocess.Popen([sys.executable, "-u", "."], cwd=PACK, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield analyzer_pb2_grpc.AnalyzerStub(channel)
        finally:
            process.terminate()


def on_the_wire(value: Any) -> Any:
    """A property as Pulumi's engine sends it."""
    match value:
        case Secret():
            return {
                "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
                "value": on_the_wire(value.value),
            }
        case dict():
            return {key: on_the_wire(item) for key, item in value.items()}
        case list():
            return [on_the_wire(item) for item in value]
        case _:
            return value


def sent(resource, *, provider=None):
    properties = json_format.ParseDict(on_the_wire(dict(resource.properties)), struct_pb2.Struct())
    return analyzer_pb2.AnalyzerResource(
        urn=resource.urn,
        type=resource.type,
        name=resource.name,
        properties=properties,
        dependencies=resource.dependencies,
        options=analyzer_pb2.AnalyzerResourceOptions(protect=resource.protect),
        provider=provider,
    )


def provider_of(resource):
    defaults = json_format.ParseDict({"defaultTags": {"tags": dict(resource.default_tags)}}, struct_pb2.Struct())
    return analyzer_pb2.AnalyzerProviderResource(
        type="pulumi:providers:aws", name="aws", urn="urn:aws", properties=defaults
    )


def diagnostics(served, resources):
    """What the pack says of a stack: of each resource before it is made, and of all at the end."""
    found = []
    for one in resources:
        provider = provider_of(one) if one.type.startswith("aws:") else None
        whole = sent(one, provider=provider)
        request = analyzer_pb2.AnalyzeRequest(
            urn=one.urn,
            type=one.type,
            name=one.name,
            properties=whole.properties,
            options=whole.options,
            provider=provider,
        )
        found += served.Analyze(request, timeout=60).diagnostics
    everything = [sent(one, provider=provider_of(one) if one.type.startswith("aws:") else None) for one in resources]
    found += served.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=everything), timeout=60).diagnostics
    return found


def test_the_real_pack_registers_every_policy(pack, served):
    info = served.GetAnalyzerInfo(empty_pb2.Empty(), timeout=30)
    assert info.name == "ml-platform"
    levels = {"mandatory": analyzer_pb2.MANDATORY, "advisory": analyzer_pb2.ADVISORY}
    assert {one.name: one.enforcementLevel for one in info.policies} == {
        name: levels[policy.enforcement_level.value] for name, policy in by_name(pack).items()
    }


def test_the_real_pack_lets_a_new_stack_pass_whose_cluster_is_not_known_yet(served):
    resources = as_planned(planned("prod")[0])
    bare = [replace(one, properties={}) if one.type.startswith("kubernetes:") else one for one in resources]
    assert [(one.policyName, one.message) for one in diagnostics(served, bare)] == []


def test_the_real_pack_reports_what_is_broken_in_the_real_stack_and_nothing_else(served):
    resources = as_planned(planned("prod")[0])
    [database] = [one for one in resources if one.type == "aws:rds/instance:Instance"]
    broken = replace(database, properties={**database.properties, "publiclyAccessible": True})
    [found] = diagnostics(served, [broken if one is database else one for one in resources])
    assert (found.policyName, found.enforcementLevel) == ("database-private", analyzer_pb2.MANDATORY)
    assert "publiclyAccessible of database-instance is True and must be false" in found.message


def test_a_pack_with_faulty_exemptions_does_not_start_and_says_why(tmp_path):
    copied = tmp_path / "policies"
    shutil.copytree(PACK, copied, ignore=shutil.ignore_patterns("__pycache__"))
    (copied / "exemptions.yaml").write_text("exemptions: [{rule: no-such-rule}]")
    result = subprocess.run(
        [sys.executable, "."],
        cwd=copied,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("exemptions.yaml has 4 faults, and nothing is checked until they are fixed:\n")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("image", "found"),
    [
        pytest.param({}, 0, id="dropped, as the provider does with what is unknown"),
        pytest.param({"tag": UNKNOWN_STRING_VALUE}, 0, id="unknown"),
        pytest.param({"digest": f"sha256:{'a' * 64}"}, 0, id="digest"),
        pytest.param({"tag": "1.0"}, 1, id="tag alone"),
        pytest.param({"tag": "latest"}, 1, id="latest"),
    ],
)
def test_an_image_that_is_about_to_be_built_is_not_yet_without_a_digest(pack, image, found):
    repository = "123456789012.dkr.ecr.us-east-1.amazonaws.com/ml-platform/dev/mlflow"
    values = {"initImages": [{"repository": repository, **image}]}
    release = shown("kubernetes:helm.sh/v3:Release", {"values": values})
    assert len(reports(by_name(pack)["images-by-digest"], release)) == found
