"""The permissions that accounts of the tracking server can have, each a role of MLflow's."""

from __future__ import annotations

ROLES = {
    "READ": {"experiment": "READ", "registered_model": "READ", "prompt": "READ"},
    "EDIT": {"experiment": "EDIT", "registered_model": "EDIT", "prompt": "EDIT"},
    # MLflow asks for MANAGE to take an alias away.
    "PROMOTE": {"experiment": "EDIT", "registered_model": "MANAGE", "prompt": "EDIT"},
    "MANAGE": {"experiment": "MANAGE", "registered_model": "MANAGE", "prompt": "MANAGE"},
}
"""What MLflow grants on every experiment, model and prompt, by the permission's name."""


def role_name(permission: str) -> str:
    """Return the name of the role that holds a permission."""
    return f"platform-{permission.lower()}"
