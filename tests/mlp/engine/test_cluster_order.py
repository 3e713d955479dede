"""In which order the cluster is filled and, the other way round, emptied; and how safe what runs there is."""

import re
from pathlib import Path

import pytest

from mlp.engine.values import revealed
from tests.builders import ancestors, planned_with_airflow, wanted

INGRESS = "kubernetes:networking.k8s.io/v1:Ingress"
RELEASE = "kubernetes:helm.sh/v3:Release"
EXTERNAL_SECRET = "kubernetes:external-secrets.io/v1:ExternalSecret"
STORE = "kubernetes:external-secrets.io/v1:ClusterSecretStore"
NAMESPACE = "kubernetes:core/v1:Namespace"
GIVEN = {"kube-system", "default"}
WRITABLE_ROOT = {"monitoring"}
"""Releases of which a container writes where it likes: the sidecars of Grafana."""
REPOSITORY = Path(__file__).resolve().parents[3]
OPERATIONS = REPOSITORY / "docs" / "operations.md"


@pytest.fixture(scope="module", params=["dev", "prod"])
def platform(request):
    return planned_with_airflow(request.param)[0]


def release_of(platform, chart):
    [found] = [one.urn for one in wanted(platform, RELEASE).values() if one.inputs["chart"] == chart]
    return found


def namespaced(platform):
    """Everything that lies in a namespace, and the namespace's name."""
    for urn, one in platform.resources.items():
        inputs = revealed(one.wanted.inputs)
        name = inputs.get("namespace") if one.wanted.type == RELEASE else inputs.get("metadata", {}).get("namespace")
        if one.wanted.type.startswith("kubernetes:") and name:
            yield urn, name


def test_nothing_is_put_into_a_namespace_that_is_not_there(platform):
    made = {one.inputs["metadata"]["name"]: one.urn for one in wanted(platform, NAMESPACE).values()}
    found = dict(namespaced(platform))
    assert set(found.values()) <= set(made) | GIVEN
    assert [
        urn for urn, name in found.items() if name not in GIVEN and made[name] not in ancestors(platform, urn)
    ] == []


FINALIZING = {
    "kuberay-operator": {"training"},
    "aws-load-balancer-controller": {"airflow", "mlflow", "monitoring"},
}
"""The namespaces in which objects carry a finalizer of a chart's controller: with the controller gone they never go."""


@pytest.mark.parametrize("chart", FINALIZING)
def test_a_controller_goes_after_the_namespaces_whose_objects_it_must_let_go(platform, chart):
    controller = release_of(platform, chart)
    for namespace in wanted(platform, NAMESPACE).values():
        if namespace.inputs["metadata"]["name"] in FINALIZING[chart]:
            assert controller in ancestors(platform, namespace.urn), namespace.name


def test_an_ingress_stands_between_its_controller_and_its_service(platform):
    controller = release_of(platform, "aws-load-balancer-controller")
    for ingress in wanted(platform, INGRESS).values():
        before = ancestors(platform, ingress.urn)
        assert controller in before
        own = [
            one.urn
            for one in wanted(platform, RELEASE).values()
            if one.inputs["namespace"] == ingress.inputs["metadata"]["namespace"]
        ]
        assert set(own) & before


def test_a_namespace_outlives_no_load_balancer_controller(platform):
    """Else a load balancer that something in it asked for would stay, and hold the network."""
    controller = release_of(platform, "aws-load-balancer-controller")
    users = [
        one for one in wanted(platform, NAMESPACE).values() if one.inputs["metadata"]["name"] != "external-secrets"
    ]
    assert users
    assert all(controller in ancestors(platform, one.urn) for one in users)


def test_secrets_come_once_their_operator_and_store_are_there(platform):
    operator = release_of(platform, "external-secrets")
    [store] = wanted(platform, STORE).values()
    assert operator in ancestors(platform, store.urn)
    secrets = wanted(platform, EXTERNAL_SECRET).values()
    assert secrets
    for secret in secrets:
        assert {operator, store.urn} <= ancestors(platform, secret.urn)
        assert secret.inputs["metadata"]["annotations"]["pulumi.com/waitFor"] == "condition=Ready"


def test_who_names_a_secret_waits_for_its_values(platform):
    names = {one.inputs["metadata"]["name"]: one.urn for one in wanted(platform, EXTERNAL_SECRET).values()}
    users = 0
    for urn, one in platform.resources.items():
        if not one.wanted.type.startswith("kubernetes:") or urn in names.values():
            continue
        text = str(revealed(one.wanted.inputs))
        for name, secret in names.items():
            if f"'{name}'" in text:
                users += 1
                assert secret in ancestors(platform, urn), f"{one.wanted.name} does not wait for {name}"
    assert users >= 4


def test_the_kinds_of_monitors_are_known_before_a_chart_brings_one(platform):
    kinds = release_of(platform, "prometheus-operator-crds")
    others = [one.urn for one in wanted(platform, RELEASE).values() if one.urn != kinds]
    assert all(kinds in ancestors(platform, urn) for urn in others)


def test_databases_are_there_before_what_keeps_records_in_them(platform):
    [bootstrap] = [one for name, one in wanted(platform, "kubernetes:batch/v1:Job").items() if name == "databases"]
    assert bootstrap.urn in ancestors(platform, release_of(platform, "mlflow"))


def test_releases_are_pinned_named_and_given_time(platform):
    for one in wanted(platform, RELEASE).values():
        assert one.inputs["version"]
        assert one.inputs["name"]
        assert one.inputs["timeout"] == 900


def test_every_namespace_has_a_security_level_and_is_closed_to_others(platform):
    policies = [
        revealed(one.inputs) for one in wanted(platform, "kubernetes:networking.k8s.io/v1:NetworkPolicy").values()
    ]
    for one in wanted(platform, NAMESPACE).values():
        metadata = one.inputs["metadata"]
        assert metadata["labels"]["pod-security.kubernetes.io/enforce"] in {"privileged", "baseline", "restricted"}
        own = [policy["spec"] for policy in policies if policy["metadata"]["namespace"] == metadata["name"]]
        assert {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]} in own


def flags(value, name):
    """Every value under the key `name`, at any depth."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from [item] if key == name else flags(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from flags(item, name)


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("hostNetwork", {False}),
        ("privileged", {False}),
        ("allowPrivilegeEscalation", {False}),
        ("readOnlyRootFilesystem", {True}),
    ],
)
def test_no_release_asks_for_more_of_its_node_than_it_needs(platform, name, allowed):
    found = {
        one.inputs["name"]: set(flags(revealed(one.inputs)["values"], name))
        for one in wanted(platform, RELEASE).values()
    }
    exceptions = WRITABLE_ROOT if name == "readOnlyRootFilesystem" else set()
    assert {release for release, values in found.items() if values - allowed} <= exceptions


def test_no_password_is_in_a_releases_values(platform):
    passwords = {
        one.created.outputs["result"].value
        for one in platform.of_type("random:index/randomPassword:RandomPassword")
        if one.wanted.name != "mlflow-flask-secret"  # the chart takes it in no other way, and it opens no firewall rule
    }
    for one in wanted(platform, RELEASE).values():
        text = str(revealed(one.inputs)["values"])
        assert not [password for password in passwords if password in text]


def test_security_contexts_are_written_in_one_place():
    words = re.compile(
        "runAsNonRoot|run_as_non_root|[sS]eccomp_?[pP]rofile|allow_?[pP]rivilege_?[eE]sc|readOnlyRoot|read_only_root"
    )
    writers = {path.name for path in (REPOSITORY / "infra").rglob("*.py") if words.search(path.read_text())}
    assert writers == {"pod_security.py"}


def test_jobs_of_ours_are_hardened(platform):
    for job in wanted(platform, "kubernetes:batch/v1:Job").values():
        pod = job.inputs["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert "@sha256:" in container["image"]


def test_a_job_of_ours_that_fails_says_why_within_minutes_and_is_made_anew_by_the_next_deployment(platform):
    jobs = wanted(platform, "kubernetes:batch/v1:Job").values()
    assert len(jobs) == 3
    for job in jobs:
        spec = job.inputs["spec"]
        pod = spec["template"]["spec"]
        # Pulumi prints a container's termination message, and each change of a pod makes it wait ten minutes more.
        assert [one["terminationMessagePolicy"] for one in pod["containers"]] == ["FallbackToLogsOnError"]
        assert pod["restartPolicy"] == "Never"  # else the last pod is deleted with its log
        assert spec["backoffLimit"] <= 3
        assert spec["activeDeadlineSeconds"] < 600
        assert job.inputs["metadata"]["annotations"] == {"pulumi.com/replaceUnready": "true"}


def test_jobs_of_ours_are_made_in_one_place():
    makers = {path.name for path in (REPOSITORY / "infra").rglob("*.py") if "batch.v1.Job(" in path.read_text()}
    assert makers == {"one_time_job.py"}


def test_the_firewall_rules_of_namespaces_are_those_that_the_documents_show():
    platform = planned_with_airflow("prod")[0]
    [network] = [one.inputs["cidrBlock"] for one in wanted(platform, "aws:ec2/vpc:Vpc").values()]
    rules = set()
    for one in wanted(platform, "kubernetes:networking.k8s.io/v1:NetworkPolicy").values():
        metadata, spec = one.inputs["metadata"], one.inputs["spec"]
        if metadata["name"] == "within-the-namespace":
            continue
        [rule] = spec["ingress"]
        peers = dict.fromkeys(who(peer, network) for peer in rule["from"])
        ports = ", ".join(str(port["port"]) for port in rule["ports"])
        rules.add((metadata["namespace"], metadata["name"].removeprefix("admit-"), ", ".join(peers), ports))
    text = OPERATIONS.read_text()
    table = text[text.index("| namespace | rule |") :].partition("\n\n")[0].splitlines()[2:]
    assert rules == {tuple(cell.strip() for cell in row.strip("|").split("|")) for row in table}


def who(peer, network):
    if "ipBlock" in peer:
        return "network" if peer["ipBlock"]["cidr"] == network else "load balancer"
    return peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
