"""The pods of the EKS add-ons, which AWS configures: their requests are its defaults, not ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlp.review.capacity.chart_values import Manifest, Release, Values
from mlp.shared.errors import PlatformError

NAMESPACE = "kube-system"
_ANYWHERE = [{"operator": "Exists"}]
_CSI = {"requests": {"cpu": "10m", "memory": "40Mi"}}
_CSI_CONTROLLER = ("ebs-plugin", "csi-provisioner", "csi-attacher", "csi-snapshotter", "csi-resizer", "liveness-probe")
_CSI_NODE = ("ebs-plugin", "node-driver-registrar", "liveness-probe")


def _cpu(millis: int) -> dict[str, Any]:
    return {"requests": {"cpu": f"{millis}m"}}


def _addon(name: str) -> Release:
    return Release(name=name, namespace=NAMESPACE, values=Values({}))


# vpc-cni: https://github.com/aws/eks-charts/blob/master/stable/aws-vpc-cni/values.yaml, and the same again for the
# agent of network policies. kube-proxy and CoreDNS: `kubectl get ds,deploy -n kube-system -o yaml` of an EKS cluster;
# CoreDNS with two replicas, https://docs.aws.amazon.com/eks/latest/userguide/coredns-autoscaling.html.
# EBS CSI: https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/charts/aws-ebs-csi-driver/values.yaml;
# the snapshotter is counted, though it is there only where its CRDs are.
# metrics-server: its chart's requests, https://github.com/kubernetes-sigs/metrics-server, and the two replicas of the
# add-on, https://docs.aws.amazon.com/eks/latest/userguide/community-addons.html.
# The pod identity agent asks for nothing, https://github.com/aws/eks-pod-identity-agent/tree/main/charts.
_ADDONS: Mapping[str, tuple[Manifest, ...]] = {
    "vpc-cni": (
        _addon("aws-node").pods(
            "DaemonSet",
            "",
            {"aws-node": _cpu(25), "aws-eks-nodeagent": _cpu(25)},
            init={"aws-vpc-cni-init": _cpu(25)},
            tolerations=_ANYWHERE,
        ),
    ),
    "kube-proxy": (_addon("kube-proxy").pods("DaemonSet", "", {"kube-proxy": _cpu(100)}, tolerations=_ANYWHERE),),
    "coredns": (
        _addon("coredns").pods(
            "Deployment", "", {"coredns": {"requests": {"cpu": "100m", "memory": "70Mi"}}}, replicas=2
        ),
    ),
    "metrics-server": (
        _addon("metrics-server").pods(
            "Deployment", "", {"metrics-server": {"requests": {"cpu": "100m", "memory": "200Mi"}}}, replicas=2
        ),
    ),
    "eks-pod-identity-agent": (
        _addon("eks-pod-identity-agent").pods("DaemonSet", "", {"eks-pod-identity-agent": {}}, tolerations=_ANYWHERE),
    ),
    "aws-ebs-csi-driver": (
        _addon("ebs-csi-controller").pods("Deployment", "", dict.fromkeys(_CSI_CONTROLLER, _CSI), replicas=2),
        _addon("ebs-csi-node").pods("DaemonSet", "", dict.fromkeys(_CSI_NODE, _CSI), tolerations=_ANYWHERE),
    ),
}
_KNOWN_SETTINGS = {"enableNetworkPolicy", "env", "init.env", "controller.extraVolumeTags"}
"""Paths of `configurationValues` that change no pod's requests."""


def addon_manifests(name: str, settings: Mapping[str, Any]) -> tuple[Manifest, ...]:
    """Return what an add-on starts. Raise PlatformError for an add-on, or settings, that the table lacks."""
    if name not in _ADDONS:
        raise PlatformError(
            f"add-on {name}: its pods are not known; add what it starts to mlp/review/capacity/addon_pods.py, "
            f"which knows {', '.join(sorted(_ADDONS))}"
        )
    unknown = sorted(set(_paths(settings)) - _KNOWN_SETTINGS)
    if unknown:
        raise PlatformError(
            f"add-on {name}: its setting {', '.join(unknown)} may change the requests of its pods, which "
            "mlp/review/capacity/addon_pods.py does not read"
        )
    return _ADDONS[name]


def _paths(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and prefix + key not in _KNOWN_SETTINGS:
            yield from _paths(value, f"{prefix}{key}.")
        else:
            yield prefix + key
