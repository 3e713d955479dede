"""Sessions with AWS by the user's own credentials, and clear messages of its refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from mlp.shared.errors import PlatformError

AwsError = (BotoCoreError, ClientError)
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN = {"InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException", "AuthFailure"}
_REFUSED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
_LOG_IN = "log in (`aws sso login`, `aws configure`, or AWS_PROFILE) and run this again"


class Clients(Protocol):
    """The boto3 clients of one account."""

    def __call__(self, service: str) -> Any:
        """Return the client of `service`, by boto3's name of it."""


Change = Callable[..., Any]
"""Function that calls a client's method which changes the account, with its arguments, and returns AWS's answer."""


def change(call: Callable[..., Any], **arguments: Any) -> Any:
    """Make the change."""
    return call(**arguments)


def skip_change(call: Callable[..., Any], **arguments: Any) -> Any:  # noqa: ARG001  a `Change` that changes nothing
    """Omit the change, so that there is no answer."""
    return {}


class UserClients:
    """Clients in `region` with the credentials that every AWS tool of the user's finds.

    Raises PlatformError for a profile that does not exist and files that cannot be read.
    """

    def __init__(self, region: str) -> None:
        session = botocore.session.Session()
        # Off EC2 nobody answers at the metadata address: without credentials that is to be said at once.
        session.set_config_variable("metadata_service_timeout", 1)
        session.set_config_variable("metadata_service_num_attempts", 1)
        try:
            self._session = boto3.session.Session(botocore_session=session, region_name=region)
        except BotoCoreError as error:
            raise PlatformError(f"nothing was done: {explain_refusal(error)}") from error

    def __call__(self, service: str) -> Any:
        """Return the client of `service`; a client waits 5 s for a connection and tries 4 times."""
        config = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 4})
        return self._session.client(service, config=config)  # type: ignore[call-overload]  # typed for literals alone


def explain_refusal(error: BotoCoreError | ClientError, service: str = "sts") -> str:
    """Return what AWS or the connection to it refuses, and the next step."""
    if isinstance(error, ClientError):
        return _answer(error, service)
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return f"no AWS credentials were found ({error}); {_LOG_IN}"
    if isinstance(error, EndpointConnectionError | HTTPClientError):
        return f"AWS cannot be reached: {error}; look at the network, the proxy and --region"
    # Log-ins by single sign-on, by a process or by another role fail in many ways; each says its own.
    return f"{error}; {_LOG_IN}"


def _answer(error: ClientError, service: str) -> str:
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    call = f"{service}:{error.operation_name}"
    if code in _EXPIRED:
        return f"your AWS credentials have expired ({call}); {_LOG_IN}"
    if code in _UNKNOWN:
        return f"AWS does not know your credentials ({call}: {message}); {_LOG_IN}"
    if code in _REFUSED:
        return f"you may not call {call}: {message}; have that permission granted, then run this again"
    return f"AWS refused {call}: {code}: {message}"
