"""The emulated cloud: AWS as moto emulates it, called through boto3 by the handlers of `mlp.engine.types`."""

from __future__ import annotations

import ipaddress
import json
import os
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
)

from mlp.engine.cloud import Created, Place, Registration
from mlp.engine.clouds.recording import RecordingCloud
from mlp.engine.types import facts_of, file_of
from mlp.engine.types.facts import AwsType
from mlp.engine.types.iam import MANAGED_POLICIES_VARIABLE
from mlp.engine.types.request import Request
from mlp.shared.errors import PlatformError

EMULATOR_ENVIRONMENT = {MANAGED_POLICIES_VARIABLE: "true"}
"""Environment variables that a moto server must be started with."""
_DUMMY_CREDENTIAL = "emulator"
"""Access key id and secret key: the emulator accepts any, and AWS refuses these."""


class _Clients:
    """The boto3 clients, one a service and region, all of one endpoint; without one, of boto3's own choice.

    What this machine's user has configured for AWS (profiles, endpoints, proxies) is ignored.
    """

    def __init__(self, endpoint_url: str | None) -> None:
        self._endpoint_url = endpoint_url
        unset = {
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "ignore_configured_endpoint_urls": (None, None, True, None),
        }
        session = botocore.session.Session(session_vars=unset)
        session.set_credentials(_DUMMY_CREDENTIAL, _DUMMY_CREDENTIAL)
        self._session = boto3.session.Session(botocore_session=session)
        self._clients: dict[tuple[str, str], Any] = {}

    def __call__(self, service: str, region: str) -> Any:
        """Return the client of `service`, by boto3's name of it."""
        key = (service, region)
        if key not in self._clients:
            self._clients[key] = self._session.client(  # type: ignore[call-overload]  # typed for literal names alone
                service,
                region_name=region,
                endpoint_url=self._endpoint_url,
                config=Config(
                    proxies={},
                    connect_timeout=5,
                    read_timeout=30,
                    retries={"total_max_attempts": 1},
                    s3={"addressing_style": "path"},
                ),
            )
        return self._clients[key]


class EmulatedCloud:
    """A cloud that creates each AWS resource in an emulator and returns what the emulator computed.

    With `endpoint_url` it calls the moto server there; without one, the moto that runs in this process (AWS itself
    refuses its credentials). Resources outside AWS, and all lookups, go to the recording cloud. Raises PlatformError
    for an endpoint on another machine.
    """

    def __init__(self, endpoint_url: str | None) -> None:
        if endpoint_url is not None and not _is_on_this_machine(endpoint_url):
            raise PlatformError(
                f"the AWS emulator's endpoint {endpoint_url} is not on this machine; "
                "use a loopback address such as http://127.0.0.1:4566"
            )
        self._endpoint_url = endpoint_url
        self._clients = _Clients(endpoint_url)
        self._recording = RecordingCloud()
        self._default_tags: dict[str, dict[str, str]] = {}
        # One resource at a time: the emulator keeps its state in plain dictionaries.
        self._lock = threading.Lock()

    def create(self, wanted: Registration, inputs: Mapping[str, Any], place: Place) -> Created:
        """Create `wanted` in the emulator.

        Raise UnknownTypeError for a type without a row, and PlatformError, which names the resource, for an input that
        its handler does not know, an emulator that does not answer, and a resource that it refuses.
        """
        facts = facts_of(wanted.type)
        if wanted.type == "pulumi:providers:aws":
            self._default_tags[wanted.urn] = json.loads(inputs.get("defaultTags", "{}")).get("tags", {})
        if not isinstance(facts, AwsType) or isinstance(facts.emulator, str):
            return self._recording.create(wanted, inputs, place)
        request = Request(wanted, inputs, place, self._clients, self._default_tags.get(wanted.provider or "", {}))
        with self._lock:
            try:
                created = facts.emulator(request)
            except (BotoCoreError, ClientError) as error:
                raise self._fault(wanted, error) from error
        request.arguments({})
        return created

    def invoke(self, token: str, args: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
        """Return the result of a lookup, as the recording cloud does."""
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
            f"correct its arguments, or what {file_of(wanted.type)} makes of them"
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
