"""Add-ons: in which versions, with which rights, and when."""

import json

import pulumi
import pulumi_aws as aws

from infra.cluster.addons import ClusterAddons, ClusterAddonsArgs, default_storage_class
from infra.facts.kubernetes_versions import ADDON_VERSIONS
from infra.tags import standard_tags
from tests.builders import deploy, inputs_of, wanted
from tests.infra.builders import ENVIRONMENT, ISSUER_URL, issuer


def deploy_addons():
    def declare():
        size = aws.eks.NodeGroupScalingConfigArgs(min_size=1, max_size=1, desired_size=1)
        group = aws.eks.NodeGroup("core", cluster_name="c", node_role_arn="arn", subnet_ids=[], scaling_config=size)
        args = ClusterAddonsArgs(
            environment=ENVIRONMENT,
            cluster_name="c",
            kubernetes_version="1.35",
            issuer=issuer(),
            node_groups=[group],
        )
        addons = ClusterAddons("addons", args)
        default_storage_class("storage", needs=addons.all, opts=pulumi.ResourceOptions())

    return deploy(declare)


def test_every_addon_is_pinned_and_replaces_what_eks_installed_by_itself():
    addons = {one["addonName"]: one for one in inputs_of(deploy_addons(), "aws:eks/addon:Addon").values()}
    versions = ADDON_VERSIONS["1.35"]
    assert {name: one["addonVersion"] for name, one in addons.items()} == {
        "coredns": versions.coredns,
        "metrics-server": versions.metrics_server,
        "eks-pod-identity-agent": versions.pod_identity_agent,
        "aws-ebs-csi-driver": versions.ebs_csi,
    }
    for when in ("resolveConflictsOnCreate", "resolveConflictsOnUpdate"):
        assert {one[when] for one in addons.values()} == {"OVERWRITE"}


def test_addons_wait_for_nodes_to_run_on():
    deployment = deploy_addons()
    [group] = wanted(deployment, "aws:eks/nodeGroup:NodeGroup").values()
    assert all(group.urn in addon.dependencies for addon in wanted(deployment, "aws:eks/addon:Addon").values())


def test_the_volume_driver_alone_gets_a_role_and_its_account_alone_may_assume_it():
    deployment = deploy_addons()
    [role] = deployment.of_type("aws:iam/role:Role")
    assert (
        f'"{ISSUER_URL}:sub": "system:serviceaccount:kube-system:ebs-csi-controller-sa"'
        in (role.wanted.inputs["assumeRolePolicy"])
    )
    roles = {
        name: one.get("serviceAccountRoleArn") for name, one in inputs_of(deployment, "aws:eks/addon:Addon").items()
    }
    assert {name for name, arn in roles.items() if arn} == {"addons-aws-ebs-csi-driver"}
    assert roles["addons-aws-ebs-csi-driver"] == role.created.outputs["arn"]


def test_volumes_that_the_driver_makes_carry_the_tags_of_their_environment():
    driver = inputs_of(deploy_addons(), "aws:eks/addon:Addon")["addons-aws-ebs-csi-driver"]
    assert json.loads(driver["configurationValues"]) == {"controller": {"extraVolumeTags": standard_tags("test")}}


def test_volumes_are_encrypted_gp3_by_default_and_outlive_no_driver():
    deployment = deploy_addons()
    [storage] = wanted(deployment, "kubernetes:storage.k8s.io/v1:StorageClass").values()
    assert storage.inputs["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert storage.inputs["parameters"] == {"type": "gp3", "encrypted": "true"}
    assert storage.inputs["provisioner"] == "ebs.csi.aws.com"
    assert storage.inputs["volumeBindingMode"] == "WaitForFirstConsumer"
    assert storage.inputs["allowVolumeExpansion"] is True
    assert wanted(deployment, "aws:eks/addon:Addon")["addons-aws-ebs-csi-driver"].urn in storage.dependencies
