"""Ray's operator: what its account may do, and that this lasts as long as the operator."""

import pytest

from tests.builders import ancestors, inputs_of, planned, wanted

RBAC = "kubernetes:rbac.authorization.k8s.io/v1:"
RELEASE = "kubernetes:helm.sh/v3:Release"


@pytest.fixture(scope="module")
def platform():
    return planned("dev")[0]


def test_the_operator_reads_no_secret_and_hands_out_no_right(platform):
    rules = inputs_of(platform, f"{RBAC}ClusterRole")["ray-role"]["rules"]
    granted = {(group, resource) for rule in rules for group in rule["apiGroups"] for resource in rule["resources"]}
    assert not granted & {("", "secrets"), ("", "serviceaccounts"), ("", "configmaps"), ("", "*")}
    assert not [group for group, _ in granted if group in ("*", "rbac.authorization.k8s.io")]
    assert {verb for rule in rules for verb in rule["verbs"]} == {
        "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch",
    }  # fmt: skip


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
