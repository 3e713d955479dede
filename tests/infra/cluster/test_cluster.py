"""The control plane: who enters, what is encrypted, what stands before it."""

import json

import pytest

from infra.cluster.cluster import Cluster, ClusterArgs
from infra.settings.settings import ClusterSettings
from tests.builders import deploy, inputs_of, wanted
from tests.infra.builders import environment

ROLE = "arn:aws:iam::123456789012:role/{}"


def deploy_cluster(*, deletable=False, deploy_role_arn=None, **settings):
    args = ClusterArgs(
        environment=environment(deletable=deletable),
        vpc_id="vpc-1",
        private_subnet_ids=["subnet-1"],
        public_subnet_ids=["subnet-2"],
        settings=ClusterSettings(**settings),
        log_retention_days=90,
        deploy_role_arn=deploy_role_arn,
    )
    return deploy(lambda: Cluster("cluster", args))


def control_plane(deployment):
    [inputs] = inputs_of(deployment, "aws:eks/cluster:Cluster").values()
    return inputs


def test_the_api_endpoint_is_closed_to_the_internet_unless_addresses_are_named():
    closed = control_plane(deploy_cluster())["vpcConfig"]
    assert (closed["endpointPrivateAccess"], closed["endpointPublicAccess"]) == (True, False)
    opened = control_plane(deploy_cluster(public_access_cidrs=["192.0.2.0/24"]))["vpcConfig"]
    assert opened["endpointPublicAccess"]
    assert opened["publicAccessCidrs"] == ["192.0.2.0/24"]


def test_secrets_are_encrypted_with_a_key_that_rotates():
    cluster = deploy_cluster()
    [key] = cluster.of_type("aws:kms/key:Key")
    assert key.wanted.inputs["enableKeyRotation"]
    assert control_plane(cluster)["encryptionConfig"] == {
        "provider": {"keyArn": key.created.outputs["arn"]},
        "resources": ["secrets"],
    }


def test_people_enter_by_the_roles_that_the_settings_name():
    cluster = deploy_cluster(admin_roles=[ROLE.format("ops")], viewer_roles=[ROLE.format("team/readers")])
    assert control_plane(cluster)["accessConfig"]["authenticationMode"] == "API"
    entries = {one["principalArn"] for one in inputs_of(cluster, "aws:eks/accessEntry:AccessEntry").values()}
    assert entries == {ROLE.format("ops"), ROLE.format("team/readers")}
    policies = inputs_of(cluster, "aws:eks/accessPolicyAssociation:AccessPolicyAssociation").values()
    assert {one["principalArn"]: one["policyArn"].rpartition("/")[2] for one in policies} == {
        ROLE.format("ops"): "AmazonEKSClusterAdminPolicy",
        ROLE.format("team/readers"): "AmazonEKSViewPolicy",
    }


def test_the_deploy_role_needs_no_entry_and_is_who_the_kubeconfig_logs_in_as():
    cluster = deploy_cluster(deploy_role_arn=ROLE.format("deploy"))
    assert not cluster.of_type("aws:eks/accessEntry:AccessEntry")
    kubeconfig = inputs_of(cluster, "pulumi:providers:kubernetes")["cluster-kubernetes"]["kubeconfig"]
    [user] = json.loads(kubeconfig)["users"]
    arguments = user["user"]["exec"]["args"]
    assert arguments[arguments.index("--role") + 1] == ROLE.format("deploy")


@pytest.mark.parametrize("provider", ["cluster-kubernetes", "cluster-eks-k8s"])
def test_the_kubeconfigs_context_leads_to_this_cluster_and_to_a_login_with_it(provider):
    cluster = deploy_cluster()
    [control_plane] = cluster.of_type("aws:eks/cluster:Cluster")
    made = control_plane.created.outputs
    config = json.loads(inputs_of(cluster, "pulumi:providers:kubernetes")[provider]["kubeconfig"])
    contexts, clusters, users = ({one["name"]: one for one in config[key]} for key in ("contexts", "clusters", "users"))
    context = contexts[config["current-context"]]["context"]
    assert clusters[context["cluster"]]["cluster"] == {
        "server": made["endpoint"],
        "certificate-authority-data": made["certificateAuthority"]["data"],
    }
    login = users[context["user"]]["user"]["exec"]
    assert (login["apiVersion"], login["command"]) == ("client.authentication.k8s.io/v1beta1", "aws")
    region, name = made["arn"].split(":")[3], made["name"]
    assert login["args"] == [
        *("--region", region, "eks", "get-token", "--cluster-name", name, "--output", "json"),
    ]


def test_the_log_group_and_the_roles_policies_stand_before_the_control_plane():
    cluster = deploy_cluster(log_types=["audit"])
    [inputs] = wanted(cluster, "aws:eks/cluster:Cluster").values()
    [group] = wanted(cluster, "aws:cloudwatch/logGroup:LogGroup").values()
    [attachment] = wanted(cluster, "aws:iam/rolePolicyAttachment:RolePolicyAttachment").values()
    assert {group.urn, attachment.urn} <= set(inputs.dependencies)
    assert group.inputs["name"] == "/aws/eks/ml-platform-test/cluster"
    assert group.inputs["retentionInDays"] == 90
    assert inputs.inputs["enabledClusterLogTypes"] == ["audit"]


@pytest.mark.parametrize("deletable", [True, False])
def test_a_cluster_that_may_not_be_deleted_refuses_and_keeps_its_key(deletable):
    cluster = deploy_cluster(deletable=deletable)
    assert control_plane(cluster)["deletionProtection"] is not deletable
    [key] = wanted(cluster, "aws:kms/key:Key").values()
    assert key.protect is not deletable


def test_no_extended_support_is_paid_for():
    assert control_plane(deploy_cluster())["upgradePolicy"] == {"supportType": "STANDARD"}


def test_the_network_addons_come_pinned_with_the_cluster_and_enforce_network_policies():
    addons = inputs_of(deploy_cluster(), "aws:eks/addon:Addon")
    assert set(addons) == {"cluster-kube-proxy", "cluster-vpc-cni"}
    assert all("-eksbuild." in one["addonVersion"] for one in addons.values())
    values = json.loads(addons["cluster-vpc-cni"]["configurationValues"])
    assert values["enableNetworkPolicy"] == "true"
    assert values["env"]["ENABLE_PREFIX_DELEGATION"] == "true"
    assert values["env"]["AWS_VPC_K8S_CNI_LOGLEVEL"] == "INFO"
