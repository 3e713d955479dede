"""The emulated cloud: AWS as moto emulates it, asked through boto3, with one module a service."""

from __future__ import annotations

import ipaddress
import json
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
)

from mlp.engine.cloud import Created, Place, Registration, UnknownToCloudError
from mlp.engine.clouds.moto import (
    acm,
    autoscaling,
    budgets,
    cloudwatch,
    ec2,
    ecr,
    eks,
    iam,
    kms,
    logs,
    rds,
    route53,
    s3,
    secretsmanager,
    sns,
    wafv2,
)
from mlp.engine.clouds.moto.request import Clients, Handler, Request
from mlp.engine.clouds.recording import RecordingCloud
from mlp.shared.errors import PlatformError

EMULATOR_ENVIRONMENT = {iam.MANAGED_POLICIES_VARIABLE: "true"}
"""The environment variables that a moto server must be started with."""

HANDLERS: dict[str, Handler] = {
    **acm.HANDLERS,
    **autoscaling.HANDLERS,
    **budgets.HANDLERS,
    **cloudwatch.HANDLERS,
    **ec2.HANDLERS,
    **ecr.HANDLERS,
    **eks.HANDLERS,
    **iam.HANDLERS,
    **kms.HANDLERS,
    **logs.HANDLERS,
    **rds.HANDLERS,
    **route53.HANDLERS,
    **s3.HANDLERS,
    **secretsmanager.HANDLERS,
    **sns.HANDLERS,
    **wafv2.HANDLERS,
}

NOT_EMULATED = {
    f"aws:eks/{kind}": f"moto answers {operation} with `Not yet implemented`"
    for kind, operation in (
        ("accessEntry:AccessEntry", "CreateAccessEntry"),
        ("accessPolicyAssociation:AccessPolicyAssociation", "AssociateAccessPolicy"),
        ("addon:Addon", "CreateAddon"),
    )
}
"""AWS resources that the recording cloud answers for, and why the emulator cannot."""


class EmulatedCloud:
    """Creates each AWS resource in an emulator and answers with what that computed.

    With `endpoint_url` it talks to the moto server there; without one to the moto that runs in this process (AWS
    itself refuses its credentials). What is not AWS, and all lookups, are answered by the recording cloud. Raises
    PlatformError for an endpoint on another machine.
    """

    def __init__(self, endpoint_url: str | None) -> None:
        if endpoint_url is not None and not _is_on_this_machine(endpoint_url):
            raise PlatformError(
                f"the AWS emulator's endpoint {endpoint_url} is not on this machine; "
                "use a loopback address such as http://127.0.0.1:4566"
            )
        self._endpoint_url = endpoint_url
        self._clients = Clients(endpoint_url)
        self._recording = RecordingCloud()
        self._default_tags: dict[str, dict[str, str]] = {}
        # One resource at a time: the emulator keeps its state in plain dictionaries.
        self._lock = threading.Lock()

    def create(self, wanted: Registration, inputs: Mapping[str, Any], place: Place) -> Created:
        """Create `wanted` in the emulator.

        Raises `UnknownToCloudError` for an AWS resource without a handler, and PlatformError, which names the resource,
        for an input that its handler does not know, an emulator that does not answer, and a resource that it refuses.
        """
        if not wanted.type.startswith("aws:") or wanted.type in NOT_EMULATED:
            if wanted.type == "pulumi:providers:aws":
                self._default_tags[wanted.urn] = json.loads(inputs.get("defaultTags", "{}")).get("tags", {})
            return self._recording.create(wanted, inputs, place)
        handler = HANDLERS.get(wanted.type)
        if handler is None:
            raise UnknownToCloudError(wanted.type, "emulated", "mlp/engine/clouds/moto/")
        request = Request(wanted, inputs, place, self._clients, self._default_tags.get(wanted.provider or "", {}))
        with self._lock:
            try:
                created = handler(request)
            except (BotoCoreError, ClientError) as error:
                raise self._fault(wanted, error) from error
        request.arguments({})
        return created

    def invoke(self, token: str, args: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
        """Answer a lookup as the recording cloud does."""
        return self._recording.invoke(token, args, place)

    def _fault(self, wanted: Registration, error: BotoCoreError | ClientError) -> PlatformError:
        if isinstance(error, ConnectTimeoutError | EndpointConnectionError | HTTPClientError):
            where = f" at {self._endpoint_url}" if self._endpoint_url else ""
            return PlatformError(
                f"{wanted.type} {wanted.name} could not be created: the AWS emulator{where} does not answer "
                f"({error}); start the platform again with `mlp up`"
            )
        return PlatformError(
            f"{wanted.type} {wanted.name} was refused by the AWS emulator: {_message(error)}; "
            "correct its arguments, or what mlp/engine/clouds/moto/ makes of them"
        )


def _message(error: BotoCoreError | ClientError) -> str:
    if isinstance(error, ClientError):
        detail = error.response["Error"]
        return f"{detail['Code']}: {detail['Message']}"
    return " ".join(str(error).split())


def _is_on_this_machine(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
