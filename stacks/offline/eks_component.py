"""What the remote component `eks:index:Cluster` makes inside.

The component runs in its provider's own process, so nothing of it is seen in a program. Both clouds expand it here into
the children that pulumi-eks registers for the arguments this platform uses, so that plans, rules and prices see them.
Source: pulumi/pulumi-eks v4.3.0, nodejs/eks/cluster/cluster.ts (`createCore`, `createCluster`), servicerole.ts,
addons/cni-addon.ts. The versions of add-ons, which the component looks up, are left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from stacks.errors import PlatformError
from stacks.offline.cloud import PARTITION, Created, Registration
from stacks.offline.values import ResourceReference, revealed

TYPE = "eks:index:Cluster"
_EXPANDED = {
    "authenticationMode",
    "corednsAddonOptions",
    "createOidcProvider",
    "endpointPrivateAccess",
    "endpointPublicAccess",
    "name",
    "privateSubnetIds",
    "providerCredentialOpts",
    "publicAccessCidrs",
    "publicSubnetIds",
    "skipDefaultNodeGroup",
    "skipDefaultSecurityGroups",
    "version",
    "vpcCniOptions",
    "vpcId",
}
_CLUSTER_POLICY = "AmazonEKSClusterPolicy"

Make = Callable[[Registration], Created]


@dataclass(frozen=True, kw_only=True)
class Expanded:
    """The component's outputs, and for each of them the children it comes from."""

    outputs: Mapping[str, Any]
    sources: Mapping[str, tuple[str, ...]]


def expand(component: Registration, make: Make) -> Expanded:
    """Make the children of `component` through `make`.

    Raises PlatformError for an argument whose children are not in this table, so that none passes unnoticed.
    """
    args = revealed(component.inputs)
    strangers = sorted(set(args) - _EXPANDED)
    if strangers:
        raise PlatformError(
            f"{TYPE} {component.name}: argument {', '.join(strangers)} is not expanded offline; "
            "add what it creates to stacks/offline/eks_component.py"
        )
    if not (args.get("skipDefaultNodeGroup") and args.get("skipDefaultSecurityGroups")):
        raise PlatformError(
            f"{TYPE} {component.name}: its default node group and security groups are not expanded offline; "
            "skip them, or add them to stacks/offline/eks_component.py"
        )
    name = component.name
    child = _Children(component)

    role_parent = child("eks:index:ServiceRole", f"{name}-eksRole", {}, custom=False)
    make(role_parent)
    in_role = _Children(role_parent)
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Action": ["sts:AssumeRole", "sts:TagSession"],
                "Effect": "Allow",
                "Principal": {"Service": ["eks.amazonaws.com"]},
            }
        ],
    }
    role = in_role(
        "aws:iam/role:Role",
        f"{name}-eksRole-role",
        {"assumeRolePolicy": json.dumps(trust), "description": "Allows EKS to manage clusters on your behalf."},
    )
    created_role = make(role)
    attachment = in_role(
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        f"{name}-eksRole-{_short_hash(f'arn:aws:iam::aws:policy/{_CLUSTER_POLICY}')}",
        {"policyArn": f"arn:{PARTITION}:iam::aws:policy/{_CLUSTER_POLICY}", "role": created_role.id},
        depends_on=(role,),
    )
    make(attachment)

    cluster = child(
        "aws:eks/cluster:Cluster",
        f"{name}-eksCluster",
        {
            "name": args.get("name"),
            "roleArn": created_role.outputs["arn"],
            "bootstrapSelfManagedAddons": True,
            "vpcConfig": {
                "subnetIds": [*args.get("publicSubnetIds", []), *args.get("privateSubnetIds", [])],
                "endpointPrivateAccess": args.get("endpointPrivateAccess"),
                "endpointPublicAccess": args.get("endpointPublicAccess"),
                "publicAccessCidrs": args.get("publicAccessCidrs"),
            },
            "version": args.get("version"),
            "tags": {"Name": f"{name}-eksCluster"},
            "accessConfig": {
                "authenticationMode": args.get("authenticationMode"),
                "bootstrapClusterCreatorAdminPermissions": True,
            },
        },
        depends_on=(role, attachment),
        also_depends_on=component.dependencies,
    )
    created = make(cluster)
    cluster_name = created.outputs["name"]
    issuer = created.outputs["identities"][0]["oidcs"][0]["issuer"]
    kubeconfig = _kubeconfig(created, args.get("providerCredentialOpts") or {}, _region(created))

    for child_registration in _addons(component, child, cluster, cluster_name, args):
        make(child_registration)
    make(child("pulumi:providers:kubernetes", f"{name}-eks-k8s", {"kubeconfig": kubeconfig}, depends_on=(cluster,)))

    outputs: dict[str, Any] = {
        "clusterSecurityGroupId": created.outputs["vpcConfig"]["clusterSecurityGroupId"],
        "nodeSecurityGroupId": created.outputs["vpcConfig"]["clusterSecurityGroupId"],
        "eksCluster": ResourceReference(cluster.urn, created.id),
        "kubeconfig": json.loads(kubeconfig),
        "kubeconfigJson": kubeconfig,
        "oidcProviderUrl": issuer,
        "oidcIssuer": issuer.removeprefix("https://"),
        "oidcProviderArn": "",
        "clusterIngressRuleId": "",
        "defaultNodeGroupAsgName": "",
        "instanceRoles": [],
    }
    sources = dict.fromkeys(outputs, (cluster.urn,))
    if args.get("createOidcProvider"):
        oidc = child(
            "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
            f"{name}-oidcProvider",
            # The component asks the issuer for its certificate; AWS itself ignores the value for EKS issuers.
            {"clientIdLists": ["sts.amazonaws.com"], "url": issuer, "thumbprintLists": ["0" * 40]},
            depends_on=(cluster,),
        )
        outputs["oidcProviderArn"] = make(oidc).outputs["arn"]
        sources["oidcProviderArn"] = (oidc.urn,)
    return Expanded(outputs=outputs, sources=sources)


class _Children:
    """Registrations below `parent`, with its provider."""

    def __init__(self, parent: Registration) -> None:
        self.parent = parent

    def __call__(
        self,
        type_: str,
        name: str,
        inputs: Mapping[str, Any],
        *,
        custom: bool = True,
        depends_on: tuple[Registration, ...] = (),
        also_depends_on: tuple[str, ...] = (),
    ) -> Registration:
        prefix, qualified_type, _ = self.parent.urn.rsplit("::", 2)
        return replace(
            self.parent,
            urn=f"{prefix}::{qualified_type}${type_}::{name}",
            type=type_,
            name=name,
            parent=self.parent.urn,
            custom=custom,
            inputs={key: value for key, value in inputs.items() if value is not None},
            dependencies=(*(one.urn for one in depends_on), *also_depends_on),
            protect=False,
            ignore_changes=(),
        )


def _addons(
    component: Registration, child: _Children, cluster: Registration, cluster_name: str, args: Mapping[str, Any]
) -> Iterator[Registration]:
    common = {
        "clusterName": cluster_name,
        "preserve": True,
        "resolveConflictsOnCreate": "OVERWRITE",
        "resolveConflictsOnUpdate": "OVERWRITE",
    }
    kube_proxy = {**common, "addonName": "kube-proxy"}
    yield child("aws:eks/addon:Addon", f"{component.name}-kube-proxy", kube_proxy, depends_on=(cluster,))

    cni_parent = child("eks:index:VpcCniAddon", f"{component.name}-vpc-cni", {}, custom=False)
    yield cni_parent
    options = args.get("vpcCniOptions") or {}
    configuration = {
        "enableNetworkPolicy": str(bool(options.get("enableNetworkPolicy"))).lower(),
        "env": {"ENABLE_PREFIX_DELEGATION": str(bool(options.get("enablePrefixDelegation"))).lower()},
    }
    yield _Children(cni_parent)(
        "aws:eks/addon:Addon",
        f"{component.name}-vpc-cni",
        {**common, "addonName": "vpc-cni", "configurationValues": json.dumps(configuration)},
        depends_on=(cluster,),
    )
    if (args.get("corednsAddonOptions") or {}).get("enabled"):
        coredns = {**common, "addonName": "coredns"}
        yield child("aws:eks/addon:Addon", f"{component.name}-coredns", coredns, depends_on=(cluster,))


def _region(created: Created) -> str:
    region: str = created.outputs["arn"].split(":")[3]
    return region


def _kubeconfig(cluster: Created, login: Mapping[str, Any], region: str) -> str:
    command = ["--region", region, "eks", "get-token", "--cluster-name", cluster.outputs["name"], "--output", "json"]
    if login.get("roleArn"):
        command += ["--role", login["roleArn"]]
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "aws", "args": command}}
    place = {
        "server": cluster.outputs["endpoint"],
        "certificate-authority-data": cluster.outputs["certificateAuthority"]["data"],
    }
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "aws",
            "clusters": [{"name": "kubernetes", "cluster": place}],
            "contexts": [{"name": "aws", "context": {"cluster": "kubernetes", "user": "aws"}}],
            "users": [{"name": "aws", "user": user}],
        }
    )


def _short_hash(text: str) -> str:
    """How pulumi-eks names a role's attachments (nodejs/eks/servicerole.ts)."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:8]
