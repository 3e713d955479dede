"""The children of the remote component `eks:index:Cluster`.

The component runs in its provider's own process, so a program never sees its children. Both clouds expand it here into
the children that pulumi-eks registers for the arguments this platform uses, so that plans, rules and prices see them.
Source: pulumi/pulumi-eks, nodejs/eks/cluster/cluster.ts (`createCore`, `createCluster`) and addons/cni-addon.ts, which
did not change between v4.3.0, whose component was run and compared, and `VERSION`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mlp.engine.aliases import child_urn, former_urns
from mlp.engine.cloud import Created, Registration
from mlp.engine.values import ResourceReference, revealed
from mlp.shared.errors import PlatformError

TYPE = "eks:index:Cluster"
VERSION = "4.4.0"
"""Version of pulumi-eks whose component is expanded here; a test compares it with the pinned one."""
_EXPANDED = {
    "authenticationMode",
    "corednsAddonOptions",
    "createOidcProvider",
    "deletionProtection",
    "enabledClusterLogTypes",
    "encryptionConfigKeyArn",
    "endpointPrivateAccess",
    "endpointPublicAccess",
    "kubeProxyAddonOptions",
    "name",
    "privateSubnetIds",
    "providerCredentialOpts",
    "publicAccessCidrs",
    "publicSubnetIds",
    "serviceRole",
    "skipDefaultNodeGroup",
    "skipDefaultSecurityGroups",
    "upgradePolicy",
    "version",
    "vpcCniOptions",
    "vpcId",
}
_EXPANDED_CNI = {
    "addonVersion",
    "enableNetworkPolicy",
    "enablePrefixDelegation",
    "logLevel",
    "resolveConflictsOnCreate",
    "resolveConflictsOnUpdate",
}

Make = Callable[[Registration], Created]
Made = Callable[[str], Created]


@dataclass(frozen=True, kw_only=True)
class Expanded:
    """The component's outputs, and for each of them the children it comes from."""

    outputs: Mapping[str, Any]
    sources: Mapping[str, tuple[str, ...]]


def expand(component: Registration, make: Make, made: Made) -> Expanded:
    """Create the children of `component` through `make`; `made` returns an earlier resource by its URN.

    Raise PlatformError for an argument whose children are not in this table, so that none is overlooked.
    """
    args = revealed(component.inputs)
    unknown = sorted(set(args) - _EXPANDED)
    if unknown:
        raise PlatformError(
            f"{TYPE} {component.name}: argument {', '.join(unknown)} is not expanded offline; "
            "add what it creates to mlp/engine/eks_component.py"
        )
    role = component.inputs.get("serviceRole")
    if not (args.get("skipDefaultNodeGroup") and args.get("skipDefaultSecurityGroups") and role):
        raise PlatformError(
            f"{TYPE} {component.name}: its default node group, security groups and service role are not expanded "
            "offline; skip them and give a role, or add them to mlp/engine/eks_component.py"
        )
    name, key = component.name, args.get("encryptionConfigKeyArn")
    child = _Children(component)

    cluster = child(
        "aws:eks/cluster:Cluster",
        f"{name}-eksCluster",
        {
            "name": args.get("name"),
            "roleArn": made(role.urn).outputs["arn"],
            "bootstrapSelfManagedAddons": True,
            "vpcConfig": {
                "subnetIds": [*args.get("publicSubnetIds", []), *args.get("privateSubnetIds", [])],
                "endpointPrivateAccess": args.get("endpointPrivateAccess"),
                "endpointPublicAccess": args.get("endpointPublicAccess"),
                "publicAccessCidrs": args.get("publicAccessCidrs"),
            },
            "version": args.get("version"),
            "enabledClusterLogTypes": args.get("enabledClusterLogTypes"),
            "encryptionConfig": {"provider": {"keyArn": key}, "resources": ["secrets"]} if key else None,
            "upgradePolicy": args.get("upgradePolicy"),
            "deletionProtection": args.get("deletionProtection"),
            "tags": {"Name": f"{name}-eksCluster"},
            "accessConfig": {
                "authenticationMode": args.get("authenticationMode"),
                "bootstrapClusterCreatorAdminPermissions": True,
            },
        },
        also_depends_on=component.dependencies,
        ignore_changes=("accessConfig.bootstrapClusterCreatorAdminPermissions", "bootstrapSelfManagedAddons"),
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
    """The registrations below `parent`, with its provider."""

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
        ignore_changes: tuple[str, ...] = (),
    ) -> Registration:
        child = Registration(
            urn=child_urn(self.parent.urn, type_, name),
            type=type_,
            name=name,
            parent=self.parent.urn,
            custom=custom,
            inputs={key: value for key, value in inputs.items() if value is not None},
            dependencies=(*(one.urn for one in depends_on), *also_depends_on),
            # A provider has none itself.
            provider=None if type_.startswith("pulumi:providers:") else self.parent.provider,
            protect=self.parent.protect,
            ignore_changes=ignore_changes,
            retain_on_delete=self.parent.retain_on_delete,
        )
        return replace(child, aliases=former_urns(child, (), self.parent))


def _addons(
    component: Registration, child: _Children, cluster: Registration, cluster_name: str, args: Mapping[str, Any]
) -> Iterator[Registration]:
    common = {
        "clusterName": cluster_name,
        "preserve": True,
        "resolveConflictsOnCreate": "OVERWRITE",
        "resolveConflictsOnUpdate": "OVERWRITE",
    }
    kube_proxy = {
        **common,
        "addonName": "kube-proxy",
        "addonVersion": (args.get("kubeProxyAddonOptions") or {}).get("version"),
    }
    yield child("aws:eks/addon:Addon", f"{component.name}-kube-proxy", kube_proxy, depends_on=(cluster,))

    cni_parent = child("eks:index:VpcCniAddon", f"{component.name}-vpc-cni", {}, custom=False)
    yield cni_parent
    options = args.get("vpcCniOptions") or {}
    unknown = sorted(set(options) - _EXPANDED_CNI)
    if unknown:
        raise PlatformError(
            f"{TYPE} {component.name}: option {', '.join(unknown)} of vpcCniOptions is not expanded offline; "
            "add what it sets to mlp/engine/eks_component.py"
        )
    yield _Children(cni_parent)(
        "aws:eks/addon:Addon",
        f"{component.name}-vpc-cni",
        {
            **common,
            **{key: options[key] for key in ("resolveConflictsOnCreate", "resolveConflictsOnUpdate") if key in options},
            "addonName": "vpc-cni",
            "addonVersion": options.get("addonVersion"),
            "configurationValues": json.dumps(_cni_configuration(options), separators=(",", ":"), sort_keys=True),
        },
        depends_on=(cluster,),
    )
    if (args.get("corednsAddonOptions") or {}).get("enabled"):
        coredns = {**common, "addonName": "coredns"}
        yield child("aws:eks/addon:Addon", f"{component.name}-coredns", coredns, depends_on=(cluster,))


def _cni_configuration(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the add-on's values: the component sets most variables itself, whether or not they were given."""
    env = {
        "AWS_VPC_ENI_MTU": "9001",
        "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "false",
        "AWS_VPC_K8S_CNI_EXTERNALSNAT": "false",
        "AWS_VPC_K8S_CNI_LOGLEVEL": options.get("logLevel") or "DEBUG",
        "AWS_VPC_K8S_CNI_LOG_FILE": "/host/var/log/aws-routed-eni/ipamd.log",
        "AWS_VPC_K8S_CNI_VETHPREFIX": "eni",
        "AWS_VPC_K8S_PLUGIN_LOG_FILE": "/var/log/aws-routed-eni/plugin.log",
        "AWS_VPC_K8S_PLUGIN_LOG_LEVEL": "DEBUG",
        "ENABLE_POD_ENI": "false",
        "WARM_ENI_TARGET": "1",
    }
    if options.get("enablePrefixDelegation"):
        env["ENABLE_PREFIX_DELEGATION"] = "true"
    configuration: dict[str, Any] = {"env": env, "init": {"env": {"DISABLE_TCP_EARLY_DEMUX": "false"}}}
    if "enableNetworkPolicy" in options:
        configuration["enableNetworkPolicy"] = str(options["enableNetworkPolicy"]).lower()
    return configuration


def _region(created: Created) -> str:
    region: str = created.outputs["arn"].split(":")[3]
    return region


def _kubeconfig(cluster: Created, login: Mapping[str, Any], region: str) -> str:
    command = ["--region", region, "eks", "get-token", "--cluster-name", cluster.outputs["name"], "--output", "json"]
    if login.get("roleArn"):
        command += ["--role", login["roleArn"]]
    api_version = "client.authentication.k8s.io/v1beta1"
    env = [{"name": "KUBERNETES_EXEC_INFO", "value": f'{{"apiVersion": "{api_version}"}}'}]
    user = {"exec": {"apiVersion": api_version, "command": "aws", "args": command, "env": env}}
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
