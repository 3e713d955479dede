"""Parts of a security context, which limit what pods may do on their node; the keys are Kubernetes'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

IMAGE_USERS: Mapping[str, int] = {"airflow": 50000, "mlflow": 1001, "training": 1000}
"""User id of each image of ours, the number that `USER` names in its Dockerfile."""
NOBODY = 65534
"""User id for programs of others that own no files."""

NOT_ROOT: dict[str, Any] = {"runAsNonRoot": True}
"""Security context of a pod or container whose image is refused when its user is root."""
SECCOMP: dict[str, Any] = {"seccompProfile": {"type": "RuntimeDefault"}}
"""Security context of a pod or container that may make only the system calls which the container runtime permits."""
CONFINED: dict[str, Any] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
"""Security context of a container without capabilities and without a way to gain any."""
READ_ONLY: dict[str, Any] = {"readOnlyRootFilesystem": True}
"""Security context of a container that writes into volumes alone."""
RESTRICTED: dict[str, Any] = {**CONFINED, **NOT_ROOT, **SECCOMP}
"""Security context of a container that the level `restricted` asks for
(https://kubernetes.io/docs/concepts/security/pod-security-standards/)."""
HARDENED: dict[str, Any] = {**RESTRICTED, **READ_ONLY}
"""Security context of a container with every restriction of this module."""


def running_as(user: int, *, group: int | None = None) -> dict[str, Any]:
    """Return the context of a pod whose containers run as `user` and `group`, and may write its volumes.

    The group has the user's number unless it is named. `user` is not 0. The kubelet refuses `runAsNonRoot` without a
    number here or in the image: it cannot tell that a user's name is not root's.
    """
    owner = user if group is None else group
    return {"runAsUser": user, "runAsGroup": owner, "fsGroup": owner, **NOT_ROOT, **SECCOMP}
