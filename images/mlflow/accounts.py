"""Create, update and delete the tracking server's accounts as the stack file says; safe to repeat.

Passwords are in a folder, a file an account; what each may do is in the variable ACCOUNTS, a JSON object. The
administrator's login is in MLflow's own variables. An account that holds one of the roles made here and is no longer
named is deleted; accounts made by hand are left alone.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import requests
from mlflow.server.auth.client import AuthServiceClient
from mlflow.server.auth.entities import Role
from platform_roles import ROLES, role_name

WORKSPACE = "default"


def main() -> None:
    """Create roles and accounts from the environment variables."""
    wanted = json.loads(os.environ["ACCOUNTS"])
    folder = Path(os.environ["ACCOUNT_PASSWORDS"])
    passwords = {name: (folder / name).read_text().strip() for name in wanted}
    client = AuthServiceClient(os.environ["MLFLOW_TRACKING_URI"])
    for line in reconcile(client, wanted, passwords):
        sys.stdout.write(f"{line}\n")


def reconcile(client: AuthServiceClient, wanted: dict[str, str], passwords: dict[str, str]) -> list[str]:
    """Create, change and delete accounts until they are as `wanted`; return what was done, a line an account."""
    roles = {permission: _role(client, permission) for permission in ROLES}
    present = _existing_roles(client)
    done = []
    for name in sorted(present.keys() - wanted.keys()):
        if present[name] & {role.id for role in roles.values()}:
            client.delete_user(name)
            done.append(f"{name}: deleted")
    for name, permission in sorted(wanted.items()):
        if name in present:
            client.update_user_password(name, passwords[name])
        else:
            client.create_user(name, passwords[name])
        for other, role in roles.items():
            holds = role.id in present.get(name, set())
            if other == permission and not holds:
                client.assign_role(name, role.id)
            elif other != permission and holds:
                client.unassign_role(name, role.id)
        done.append(f"{name}: {permission}")
    return done


def _role(client: AuthServiceClient, permission: str) -> Role:
    """Return the role that holds a permission of `ROLES` on every experiment and model."""
    name = role_name(permission)
    found = [role for role in client.list_roles(WORKSPACE) if role.name == name]
    role = found[0] if found else client.create_role(WORKSPACE, name, "made by the platform's stack")
    granted = {
        (one.resource_type, one.resource_pattern, one.permission) for one in client.list_role_permissions(role.id)
    }
    for resource_type, level in ROLES[permission].items():
        if (resource_type, "*", level) not in granted:
            client.add_role_permission(role.id, resource_type, "*", level)
    return role


def _existing_roles(client: AuthServiceClient) -> dict[str, set[int]]:
    """Return the ids of the roles of every account, by its name; MLflow's client has no call for this."""
    login = (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"])
    answer = requests.get(f"{client.tracking_uri}/api/2.0/mlflow/users/list", auth=login, timeout=30)
    answer.raise_for_status()
    return {user["username"]: {int(role["id"]) for role in user["roles"]} for user in answer.json()["users"]}


if __name__ == "__main__":
    main()
