"""The Job that creates and updates MLflow's accounts from the stack file."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as kubernetes

from infra.cluster.one_time_job import one_time_job
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
    login = {"MLFLOW_TRACKING_USERNAME": "username", "MLFLOW_TRACKING_PASSWORD": "password"}
    container = {
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
    return one_time_job(
        logical_name,
        name="mlflow-accounts",
        namespace=namespace,
        inputs=[accounts, image.tag],
        pod={
            "priority_class_name": "platform-service",
            "security_context": running_as(IMAGE_USERS["mlflow"]),
            "containers": [container],
            "volumes": [
                {"name": "accounts", "secret": {"secret_name": passwords.secret_name}},
                {"name": "tmp", "empty_dir": {}},
            ],
        },
        opts=opts,
    )
