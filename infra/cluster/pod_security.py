"""What pods may do on their node: the parts of a security context, in Kubernetes' own words."""

from __future__ import annotations

from typing import Any

NOT_ROOT: dict[str, Any] = {"runAsNonRoot": True}
"""Of a pod or a container: its image's user is refused when it is root."""
SECCOMP: dict[str, Any] = {"seccompProfile": {"type": "RuntimeDefault"}}
"""Of a pod or a container: only the system calls that the container runtime lets through."""
CONFINED: dict[str, Any] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
"""Of a container: no capability, and no way to one."""
READ_ONLY: dict[str, Any] = {"readOnlyRootFilesystem": True}
"""Of a container: it writes into volumes alone."""
RESTRICTED: dict[str, Any] = {**CONFINED, **NOT_ROOT, **SECCOMP}
"""Of a container: what the level `restricted` asks for
(https://kubernetes.io/docs/concepts/security/pod-security-standards/)."""
HARDENED: dict[str, Any] = {**RESTRICTED, **READ_ONLY}
"""Of a container: all of it."""


def running_as(user: int) -> dict[str, Any]:
    """Return the context of a pod whose containers run as `user`, a user id other than 0."""
    return {"runAsUser": user, **NOT_ROOT, **SECCOMP}
