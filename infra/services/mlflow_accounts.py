"""The Job that creates and updates MLflow's accounts from the stack file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from infra.cluster.pod_security import CONFINED, IMAGE_USERS, READ_ONLY, running_as
from infra.data.external_secret import ExternalSecret
from infra.data.image import Image

_FOLDER = "/accounts"


def accounts_job(
    logical_name: str,
    *,
    namespace: pulumi.Input[str],
    url: str,
    image: Image,
    permissions: Mapping[str, str],
    passwords: ExternalSecret,
    admin: ExternalSecret,
    opts: pulumi.ResourceOptions,
) -> kubernetes.batch.v1.Job:
    """Create a Job that makes the accounts of `permissions`, with the passwords that `passwords` holds by account.

    It runs `images/mlflow/accounts.py` as the administrator whose login is in `admin`.
    """
    accounts = json.dumps(dict(sorted(permissions.items())))
    # A Job cannot be changed: other accounts, or another image, are another Job. It stays, so that its end is known.
    digest = hashlib.sha256(f"{accounts} {image.tag}".encode()).hexdigest()[:10]
    login = {"MLFLOW_TRACKING_USERNAME": "username", "MLFLOW_TRACKING_PASSWORD": "password"}
    spec: Any = {
        "backoff_limit": 6,
        "template": {
            "spec": {
                "restart_policy": "OnFailure",
                "automount_service_account_token": False,
                "priority_class_name": "platform-service",
                "security_context": running_as(IMAGE_USERS["mlflow"]),
                "containers": [
                    {
                        "name": "accounts",
                        "image": image.reference,
                        "command": ["python", "/opt/platform/accounts.py"],
                        "env": [
                            {"name": "MLFLOW_TRACKING_URI", "value": url},
                            {"name": "ACCOUNTS", "value": accounts},
                            {"name": "ACCOUNT_PASSWORDS", "value": _FOLDER},
                            *(
                                {
                                    "name": variable,
                                    "value_from": {"secret_key_ref": {"name": admin.secret_name, "key": key}},
                                }
                                for variable, key in login.items()
                            ),
                        ],
                        "resources": {
                            "requests": {"cpu": "50m", "memory": "256Mi"},
                            "limits": {"memory": "512Mi"},
                        },
                        "security_context": {**CONFINED, **READ_ONLY},
                        "volume_mounts": [
                            {"name": "accounts", "mount_path": _FOLDER, "read_only": True},
                            {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108  inside the pod
                        ],
                    }
                ],
                "volumes": [
                    {"name": "accounts", "secret": {"secret_name": passwords.secret_name}},
                    {"name": "tmp", "empty_dir": {}},
                ],
            }
        },
    }
    return kubernetes.batch.v1.Job(
        logical_name,
        metadata={"name": f"mlflow-accounts-{digest}", "namespace": namespace},
        spec=spec,
        opts=opts,
    )
