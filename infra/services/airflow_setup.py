"""The Job that must be complete before Airflow starts: its tables, and the first administrator."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from infra.cluster.one_time_job import one_time_job
from infra.cluster.pod_security import HARDENED
from infra.data.image import Image
from infra.servers.airflow import FAB, RESOURCES
from infra.services.airflow_values import AIRFLOW_USER, TMP

# The password goes by standard input, and into no list of processes.
SCRIPT = r"""
airflow db migrate
twice() { printf '%s\n%s\n' "$ADMIN_PASSWORD" "$ADMIN_PASSWORD"; }
twice | airflow users create --username "$ADMIN_USERNAME" --role Admin \
    --firstname Platform --lastname Admin --email admin@example.com
# One who is there already was left as he is.
twice | airflow users reset-password --username "$ADMIN_USERNAME"
"""


def setup_job(
    name: str,
    *,
    namespace: pulumi.Input[str],
    image: Image,
    secret: str,
    admin_secret: str,
    opts: pulumi.ResourceOptions,
) -> kubernetes.batch.v1.Job:
    """Create the Job, which exists once it is complete; safe to repeat.

    `secret` has the keys `connection`, `connection-async` and `fernet-key`, `admin_secret` has `username` and
    `password`: the administrator logs in with these from then on, whatever he had set himself.
    """
    variables = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": (secret, "connection"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": (secret, "connection-async"),
        "AIRFLOW__CORE__FERNET_KEY": (secret, "fernet-key"),
        "ADMIN_USERNAME": (admin_secret, "username"),
        "ADMIN_PASSWORD": (admin_secret, "password"),
    }
    return one_time_job(
        name,
        name="airflow-setup",
        namespace=namespace,
        inputs=[SCRIPT, image.tag, variables],
        pod={
            "priority_class_name": "platform-service",
            "security_context": AIRFLOW_USER,
            "containers": [_container(image, variables)],
            "volumes": [{"name": "tmp", "empty_dir": {}}],
        },
        opts=opts,
    )


def _container(image: Image, variables: dict[str, tuple[str, str]]) -> Any:
    return {
        "name": "setup",
        "image": image.reference,
        "args": ["bash", "-euo", "pipefail", "-c", SCRIPT],
        "env": [
            {"name": "AIRFLOW_HOME", "value": f"{TMP['mountPath']}/airflow"},  # its settings are written there
            {"name": "AIRFLOW__CORE__AUTH_MANAGER", "value": FAB},
            *(
                {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
                for variable, (secret, key) in variables.items()
            ),
        ],
        "resources": RESOURCES["setup"],
        "securityContext": HARDENED,
        "volumeMounts": [TMP],
    }
