"""What each service account may do in the cluster, held to the table `rights.yaml`."""

import importlib.util
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from mlp.charts import rendering, yaml_text
from mlp.charts.check import releases_of
from mlp.charts.store import find_store
from mlp.engine.values import revealed
from tests.builders import planned_with_airflow

STORE = find_store()
TABLE = yaml_text.mapping((Path(__file__).parent / "rights.yaml").read_text())
EVERYWHERE = "*"
CHANGES = {"*", "create", "patch", "update"}
SECRETS_EVERYWHERE = {
    "external-secrets/external-secrets": "it writes Secrets in every namespace, and watches them in all",
    "external-secrets/external-secrets-cert-controller": "it watches for its webhook's certificate in all namespaces",
    "monitoring/monitoring-kube-prometheus-operator": "its chart has one role, for all namespaces",
}
PODS_EVERYWHERE = {
    "kube-system/cluster-autoscaler": "its chart lets it patch Jobs",
    "monitoring/monitoring-kube-prometheus-operator": "it makes the StatefulSets of Prometheus and Alertmanager",
    "ray-operator/kuberay-operator": "a role of the training namespace goes with it, and finalizers there would stay",
}
RIGHTS = re.compile(
    r"\*.*|nodes/proxy|pods/(attach|exec)|serviceaccounts(/token)?|(cluster)?role(binding)?s\..*|\w+webhookconfigurations\.[^[]*"
)
"""Resources by which an account may come to rights that it was not given."""


def rights(objects):
    """What each account may do: by account and namespace (`*`: in all), the resources by the verbs on them."""
    roles: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    found: dict[str, dict[str, Any]] = {}
    for one in objects:
        metadata = one["metadata"]
        if one["kind"] in ("Role", "ClusterRole"):
            place = metadata["namespace"] if one["kind"] == "Role" else EVERYWHERE
            roles[one["kind"], place, metadata["name"]] = one.get("rules") or []
        elif one["kind"] == "ServiceAccount":
            found[f"{metadata['namespace']}/{metadata['name']}"] = {}
    for one in objects:
        if one["kind"] not in ("RoleBinding", "ClusterRoleBinding"):
            continue
        place = one["metadata"]["namespace"] if one["kind"] == "RoleBinding" else EVERYWHERE
        ref = one["roleRef"]
        rules = roles[ref["kind"], place if ref["kind"] == "Role" else EVERYWHERE, ref["name"]]
        for subject in one["subjects"]:
            assert subject["kind"] == "ServiceAccount"
            verbs = found.setdefault(f"{subject['namespace']}/{subject['name']}", {}).setdefault(
                place, defaultdict(set)
            )
            for rule in rules:
                for resource in named(rule):
                    verbs[resource] |= set(rule["verbs"])
    return {
        account: {place: by_verbs(one) for place, one in places.items() if one} for account, places in found.items()
    }


def named(rule):
    """The resources of a rule: `pods`, `rayjobs.ray.io`, and `leases[name]` where it is about one of that name."""
    yield from rule.get("nonResourceURLs", ())
    names = [f"[{name}]" for name in rule.get("resourceNames", ())] or [""]
    for group in rule.get("apiGroups", ()):
        for resource in rule["resources"]:
            yield from (f"{resource}.{group}{name}" if group else f"{resource}{name}" for name in names)


def by_verbs(verbs):
    turned = defaultdict(list)
    for resource, allowed in sorted(verbs.items()):
        turned[" ".join(sorted(allowed))].append(resource)
    return {allowed: " ".join(resources) for allowed, resources in turned.items()}


def of_programs(stack):
    """The roles, bindings and accounts that programs declare."""
    for deployment in planned_with_airflow(stack):
        for one in deployment.resources.values():
            if ":rbac.authorization.k8s.io/" in one.wanted.type or one.wanted.type.endswith(":ServiceAccount"):
                yield revealed(one.wanted.inputs)


def of_release(release, cluster):
    """The roles, bindings and accounts that a release's chart renders."""
    archive = STORE.archive(release.chart, release.version)
    assert archive
    for text in rendering.find_renderer()(archive, release, cluster):
        if re.search(r"^kind: (List|ServiceAccount|(Cluster)?Role(Binding)?)", text.text, re.MULTILINE):
            for document in yaml_text.documents(text.text):
                for one in document.get("items") or [] if document["kind"] == "List" else [document]:
                    one["metadata"].setdefault("namespace", release.namespace)
                    yield one


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_programs_grant_what_the_table_says(stack):
    assert rights(list(of_programs(stack))) == TABLE["programs"]


needs_rendering = pytest.mark.skipif(
    not importlib.util.find_spec(rendering.SDK) or not any(STORE.folder.glob("*/*.tgz")),
    reason=f"no chart archives (`mlp charts pull` gets them), or nothing to render with: {rendering.HOW_TO_INSTALL}",
)


@needs_rendering
@pytest.mark.parametrize("chart", sorted(TABLE["charts"]))
def test_a_chart_grants_what_the_table_says(chart):
    deployments = planned_with_airflow("prod")
    [release] = [one for one in releases_of(deployments) if one.chart == chart]
    if STORE.archive(chart, release.version) is None:
        pytest.skip(f"no archive of chart {chart}: `mlp charts pull {chart}` gets it")
    cluster = rendering.Cluster(kubernetes_version=rendering.kubernetes_version(deployments))
    assert rights(list(of_release(release, cluster))) == TABLE["charts"][chart]


def test_every_chart_is_in_the_table():
    assert {one.chart for one in releases_of(planned_with_airflow("prod"))} == set(TABLE["charts"])


def holders(pattern, verbs=frozenset()):
    """The accounts with one of `verbs`, or any, on a matching resource of every namespace and every name."""
    return {
        account
        for part in (TABLE["programs"], *TABLE["charts"].values())
        for account, places in part.items()
        for allowed, resources in places.get(EVERYWHERE, {}).items()
        if (not verbs or verbs & set(allowed.split())) and any(re.fullmatch(pattern, one) for one in resources.split())
    }


def test_no_other_account_reads_secrets_or_starts_pods_everywhere_and_none_takes_rights():
    assert holders("secrets") == set(SECRETS_EVERYWHERE)
    workloads = r"pods|replicationcontrollers|(cron)?jobs\.batch|(daemon|replica|stateful)sets\.apps|deployments\.apps"
    assert holders(workloads, CHANGES) == set(PODS_EVERYWHERE)
    assert holders(RIGHTS, CHANGES) == set()


def test_tasks_and_the_triggerer_start_no_pod_beside_them():
    for account in ("airflow/airflow-worker", "airflow/airflow-triggerer"):
        assert set(TABLE["programs"][account]) == {"training"}
        assert TABLE["charts"]["airflow"][account] == {}
