"""Ray's operator: what its account may do, and that this lasts as long as the operator."""

import pytest

from tests.builders import ancestors, inputs_of, planned, wanted

RBAC = "kubernetes:rbac.authorization.k8s.io/v1:"
RELEASE = "kubernetes:helm.sh/v3:Release"


@pytest.fixture(scope="module")
def platform():
    return planned("dev")[0]


def test_the_operator_reads_no_secret_everywhere_and_hands_out_no_right(platform):
    rules = inputs_of(platform, f"{RBAC}ClusterRole")["ray-role"]["rules"]
    granted = {(group, resource) for rule in rules for group in rule["apiGroups"] for resource in rule["resources"]}
    assert not granted & {("", "secrets"), ("", "serviceaccounts"), ("", "configmaps"), ("", "*")}
    assert not [group for group, _ in granted if group in ("*", "rbac.authorization.k8s.io")]
    assert {verb for rule in rules for verb in rule["verbs"]} == {
        "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch",
    }  # fmt: skip


WATCHED = {
    ("", "pods"),
    ("", "services"),
    ("", "secrets"),
    ("", "persistentvolumeclaims"),
    ("batch", "jobs"),
    ("ray.io", "rayclusters"),
    ("ray.io", "rayjobs"),
    ("ray.io", "rayservices"),
}
"""What KubeRay's controllers watch from their start (`SetupWithManager` of each, v1.7.0): without one, none begins."""


def may(rules, verb):
    """The kinds on which the rules allow a verb."""
    return {
        (group, kind)
        for rule in rules
        if verb in rule["verbs"]
        for group in rule["apiGroups"]
        for kind in rule["resources"]
    }


@pytest.mark.parametrize("verb", ["get", "list", "watch"])
def test_the_operator_may_watch_in_the_watched_namespace_all_that_it_begins_with(platform, verb):
    everywhere = inputs_of(platform, f"{RBAC}ClusterRole")["ray-role"]["rules"]
    there = inputs_of(platform, f"{RBAC}Role")["training-operator"]
    assert there["metadata"]["namespace"] in inputs_of(platform, RELEASE)["ray-release"]["values"]["watchNamespace"]
    assert may(everywhere, verb) | may(there["rules"], verb) >= WATCHED


def test_the_operator_makes_tokens_in_the_watched_namespace_alone(platform):
    there = inputs_of(platform, f"{RBAC}Role")["training-operator"]
    assert may(there["rules"], "create") == {("", "secrets")}
    assert {verb for rule in there["rules"] for verb in rule["verbs"]} == {"create", "get", "list", "watch"}
    [subject] = inputs_of(platform, f"{RBAC}RoleBinding")["training-operator-binding"]["subjects"]
    account = inputs_of(platform, RELEASE)["ray-release"]["values"]["serviceAccount"]["name"]
    assert (subject["namespace"], subject["name"]) == ("ray-operator", account)


def test_a_lost_head_has_the_time_of_a_new_node_to_come_back(platform):
    [variable] = inputs_of(platform, RELEASE)["ray-release"]["values"]["env"]
    assert variable["name"] == "RAYJOB_STATUS_CHECK_TIMEOUT_SECONDS"
    assert int(variable["value"]) > 600


def test_the_operator_has_the_rights_that_are_bound_to_its_account_and_no_others(platform):
    values = inputs_of(platform, RELEASE)["ray-release"]["values"]
    assert values["rbacEnable"] is False, "the chart's own role reads every Secret"
    for kind, name in (("ClusterRoleBinding", "ray-role-binding"), ("RoleBinding", "ray-leader-binding")):
        binding = inputs_of(platform, RBAC + kind)[name]
        [subject] = binding["subjects"]
        assert (subject["namespace"], subject["name"]) == ("ray-operator", values["serviceAccount"]["name"])
        role = binding["roleRef"]["kind"]
        assert binding["roleRef"]["name"] in {
            one["metadata"]["name"] for one in inputs_of(platform, RBAC + role).values()
        }


def test_the_operator_keeps_its_rights_until_it_is_gone(platform):
    before = ancestors(platform, wanted(platform, RELEASE)["ray-release"].urn)
    for kind, names in (("ClusterRole", ["ray-role", "ray-role-binding"]), ("Role", ["ray-leader"])):
        for name in names:
            type_ = f"{RBAC}{kind}Binding" if name.endswith("-binding") else RBAC + kind
            assert wanted(platform, type_)[name].urn in before
