"""Parts of a security context, which limit what pods may do on their node; the keys are Kubernetes'."""

from __future__ import annotations

from typing import Any

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


def running_as(user: int) -> dict[str, Any]:
    """Return the context of a pod whose containers run as `user`, a user id other than 0."""
    return {"runAsUser": user, **NOT_ROOT, **SECCOMP}
