import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from policies.rules import RULES

PACK = Path(__file__).resolve().parents[2] / "policies"


@pytest.fixture(scope="module")
def pack():
    """The pack's functions, without the serving that running it as a program does."""
    return SimpleNamespace(**runpy.run_path(str(PACK / "__main__.py"), run_name="pack"))


def as_pulumi_shows(type_, properties, *, name="thing", dependencies=()):
    return SimpleNamespace(
        urn=f"{type_}::{name}", resource_type=type_, name=name, props=properties, dependencies=list(dependencies)
    )


def test_the_pack_has_every_rule_as_a_mandatory_policy(pack):
    policies = [pack.as_policy(rule) for rule in RULES]
    assert {policy.name for policy in policies} == {rule.name for rule in RULES}
    assert {policy.enforcement_level.value for policy in policies} == {"mandatory"}


def test_a_policy_reports_what_its_rule_finds_on_the_resource_that_breaks_it(pack):
    [rule] = [rule for rule in RULES if rule.name == "no-public-bucket"]
    bucket = as_pulumi_shows("aws:s3/bucket:Bucket", {})
    reported = []
    pack.as_policy(rule).validate(
        SimpleNamespace(resources=[bucket]), lambda message, urn=None: reported.append((message, urn))
    )
    assert [urn for _, urn in reported] == [bucket.urn]
    guarded = as_pulumi_shows(
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        dict.fromkeys(("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True),
        name="block",
        dependencies=[bucket],
    )
    reported.clear()
    pack.as_policy(rule).validate(
        SimpleNamespace(resources=[bucket, guarded]), lambda message, urn=None: reported.append((message, urn))
    )
    assert reported == []


def test_the_real_pack_starts_and_says_on_which_port_it_serves():
    with subprocess.Popen([sys.executable, str(PACK)], stdout=subprocess.PIPE, text=True) as pack_process:
        try:
            assert pack_process.stdout
            line = pack_process.stdout.readline()
        finally:
            pack_process.terminate()
    assert 0 < int(line) < 65536
