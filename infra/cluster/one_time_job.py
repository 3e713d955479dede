"""A Job that runs once for each set of inputs, and tells why when it fails."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

_RETRIES = 3
"""Times that a failed pod is followed by another: after 10, 20 and 40 seconds, so a script that always fails is known
to within two minutes (https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-backoff-failure-policy)."""
_DEADLINE_SECONDS = 480
"""Longest time for all pods together, a new node and the pull of an image included. Pulumi's own limit of ten minutes
begins anew with each change of a pod, and so never ends while an image cannot be pulled."""


def one_time_job(
    logical_name: str,
    *,
    name: str,
    namespace: pulumi.Input[str],
    inputs: object,
    pod: Mapping[str, Any],
    opts: pulumi.ResourceOptions,
) -> kubernetes.batch.v1.Job:
    """Create a Job of `pod`, a pod's spec, which is done once `pulumi up` goes on to what depends on it.

    Its name is `name` and a digest of `inputs`, values that JSON can hold: a Job cannot be changed, so other inputs are
    another Job. It stays when it is complete, so that this is known. When it fails, the last lines of its log are in
    Pulumi's error, its pods are kept, and the next `pulumi up` replaces it.
    """
    digest = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:10]
    # Pulumi shows a container's termination message, into which Kubernetes copies the end of the log: at most 2,048
    # bytes or 80 lines. https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
    speaking = {"termination_message_policy": "FallbackToLogsOnError"}
    spec: Any = {
        "backoff_limit": _RETRIES,
        "active_deadline_seconds": _DEADLINE_SECONDS,
        "template": {
            "spec": {
                "restart_policy": "Never",
                "automount_service_account_token": False,
                **pod,
                "containers": [{**container, **speaking} for container in pod["containers"]],
            }
        },
    }
    return kubernetes.batch.v1.Job(
        logical_name,
        metadata={
            "name": f"{name}-{digest}",
            "namespace": namespace,
            "annotations": {"pulumi.com/replaceUnready": "true"},
        },
        spec=spec,
        opts=opts,
    )
