from datetime import date

import pytest

from infra.facts import kubernetes_versions
from policies.rules.cluster import STANDARD_SUPPORT_ENDS
from policies.rules.model import UNKNOWN
from tests.policies.builders import messages, resource

CLUSTER = "aws:eks/cluster:Cluster"
STANDARD = {"upgradePolicy": {"supportType": "STANDARD"}}


def cluster(version="1.35", **properties):
    return resource(CLUSTER, {"version": version, **STANDARD, **properties})


def endpoint(**access):
    return resource(CLUSTER, {"vpcConfig": access})


def test_the_rules_and_the_platform_know_the_same_versions():
    assert STANDARD_SUPPORT_ENDS == kubernetes_versions.STANDARD_SUPPORT_ENDS


@pytest.mark.parametrize(
    ("found", "today"),
    [
        (cluster(), date(2026, 11, 21)),
        (cluster(), date(2027, 3, 27)),
        (cluster(UNKNOWN, upgradePolicy=UNKNOWN), date(2026, 11, 21)),
        (resource("aws:eks/nodeGroup:NodeGroup", {"version": "1.34"}), date(2026, 12, 2)),
    ],
)
def test_a_supported_version_is_not_spoken_of(found, today):
    assert messages("kubernetes-supported", found, today=today) == []


@pytest.mark.parametrize(
    ("found", "today", "message"),
    [
        (
            cluster(),
            date(2027, 3, 28),
            "Kubernetes 1.35 of thing left standard support on 2027-03-27; supported: none",
        ),
        (
            resource("aws:eks/nodeGroup:NodeGroup", {"version": "1.33"}),
            date(2026, 11, 21),
            "Kubernetes 1.33 of thing left standard support on 2026-07-29; supported: 1.34, 1.35",
        ),
        (cluster("1.36"), date(2026, 11, 21), "Kubernetes 1.36 of thing is in no table of policies/rules/cluster.py; "),
        (cluster(None), date(2026, 11, 21), "Kubernetes None of thing is in no table of policies/rules/cluster.py; "),
        (cluster(upgradePolicy={}), date(2026, 11, 21), "upgradePolicy.supportType of thing is None and must be"),
    ],
)
def test_a_version_without_standard_support_is_named(found, today, message):
    [spoken] = messages("kubernetes-supported", found, today=today)
    assert spoken.startswith(message)


@pytest.mark.parametrize(
    ("version", "today", "days"),
    [
        ("1.35", date(2026, 12, 26), None),
        ("1.35", date(2026, 12, 27), 90),
        ("1.35", date(2027, 3, 27), 0),
        ("1.35", date(2027, 3, 28), None),
        ("1.99", date(2026, 12, 27), None),
        (UNKNOWN, date(2026, 12, 27), None),
    ],
)
def test_the_end_of_support_is_reported_90_days_before(version, today, days):
    spoken = messages("kubernetes-support-ends-soon", cluster(version), today=today)
    assert [f"in {days} days" in one for one in spoken] == ([] if days is None else [True])


@pytest.mark.parametrize(
    ("found", "ranges"),
    [
        (endpoint(endpointPublicAccess=False), []),
        (endpoint(endpointPublicAccess=False, publicAccessCidrs=["0.0.0.0/0"]), []),
        (endpoint(endpointPublicAccess=True, publicAccessCidrs=["203.0.113.0/24"]), []),
        (endpoint(endpointPublicAccess=True, publicAccessCidrs=UNKNOWN), []),
        (resource(CLUSTER, {"vpcConfig": UNKNOWN}), []),
        (endpoint(endpointPublicAccess=True, publicAccessCidrs=["203.0.113.0/24", "0.0.0.0/0"]), ["0.0.0.0/0"]),
        (endpoint(endpointPublicAccess=True), ["0.0.0.0/0"]),
        (endpoint(), ["0.0.0.0/0"]),
    ],
)
def test_an_endpoint_open_to_the_world_is_named(found, ranges):
    spoken = messages("api-endpoint-closed", found)
    assert [one.split(";")[0] for one in spoken] == [f"the API endpoint of thing is open to {one}" for one in ranges]
