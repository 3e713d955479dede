"""The Kubernetes versions that EKS supports, and the add-on versions that this platform runs on each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

TABLE_DATE = date(2026, 11, 21)
"""Day on which the table was last compared with
https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html."""

STANDARD_SUPPORT_ENDS: Mapping[str, date] = {
    "1.32": date(2026, 3, 23),
    "1.33": date(2026, 7, 29),
    "1.34": date(2026, 12, 2),
    "1.35": date(2027, 3, 27),
}


@dataclass(frozen=True, kw_only=True)
class AddonVersions:
    """The managed add-ons of one Kubernetes version (`aws eks describe-addon-versions --kubernetes-version V`)."""

    vpc_cni: str
    kube_proxy: str
    coredns: str
    ebs_csi: str
    metrics_server: str
    pod_identity_agent: str


ADDON_VERSIONS: Mapping[str, AddonVersions] = {
    "1.34": AddonVersions(
        vpc_cni="v1.22.4-eksbuild.3",
        kube_proxy="v1.34.6-eksbuild.18",
        coredns="v1.13.2-eksbuild.11",
        ebs_csi="v1.63.0-eksbuild.1",
        metrics_server="v0.8.1-eksbuild.10",
        pod_identity_agent="v1.3.10-eksbuild.3",
    ),
    "1.35": AddonVersions(
        vpc_cni="v1.22.4-eksbuild.3",
        kube_proxy="v1.35.3-eksbuild.29",
        coredns="v1.13.2-eksbuild.31",
        ebs_csi="v1.66.0-eksbuild.1",
        metrics_server="v0.8.1-eksbuild.10",
        pod_identity_agent="v1.3.10-eksbuild.3",
    ),
}


def supported_version(version: str) -> str:
    """Return the version itself; raise ValueError for one that the table lacks or has without standard support."""
    supported = [one for one in ADDON_VERSIONS if STANDARD_SUPPORT_ENDS[one] >= TABLE_DATE]
    if version in supported:
        return version
    ended = STANDARD_SUPPORT_ENDS.get(version)
    reason = f"left standard support on {ended}" if ended else "is not in infra/facts/kubernetes_versions.py"
    raise ValueError(f"Kubernetes {version} {reason}; supported at {TABLE_DATE}: {', '.join(supported)}")


def support_warning(version: str, today: date) -> str | None:
    """Return a warning for a version of the table whose standard support is over by `today`; None while it lasts."""
    ends = STANDARD_SUPPORT_ENDS[version]
    if today <= ends:
        return None
    return (
        f"Kubernetes {version} left standard support on {ends}: EKS upgrades the control plane by itself; "
        "set cluster.kubernetes_version to the version it now has"
    )
