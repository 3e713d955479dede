"""The recording cloud: returns deterministic ids, ARNs and endpoints in AWS's own formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlp.engine.cloud import ACCOUNT, PARTITION, Created, Place, Registration, UnknownLookupError
from mlp.engine.types import facts_of
from mlp.engine.values import Secret
from mlp.shared.errors import PlatformError

Inputs = Mapping[str, Any]
Lookup = Callable[[Inputs, Place], Mapping[str, Any]]


class RecordingCloud:
    """A cloud that creates nothing and returns the same results in every run and on every machine."""

    def create(self, wanted: Registration, inputs: Inputs, place: Place) -> Created:
        """Return what the provider would after creating `wanted`.

        Raise UnknownTypeError for a type without a row, PlatformError for one that no cloud creates.
        """
        recorder = facts_of(wanted.type).recorder
        if isinstance(recorder, str):
            raise PlatformError(f"{wanted.type} {wanted.name} is not made by a cloud: {recorder}")
        return recorder(wanted, inputs, place)

    def invoke(self, token: str, args: Inputs, place: Place) -> Mapping[str, Any]:
        """Return the result of a lookup as AWS would in an account of its own."""
        lookup = LOOKUPS.get(token)
        if lookup is None:
            raise UnknownLookupError(token, "mlp/engine/clouds/recording.py")
        return lookup(args, place)


def _partition(_args: Inputs, _place: Place) -> Mapping[str, Any]:
    return {"id": PARTITION, "partition": PARTITION, "dnsSuffix": "amazonaws.com", "reverseDnsPrefix": "com.amazonaws"}


def _authorization_token(_args: Inputs, place: Place) -> Mapping[str, Any]:
    proxy = f"https://{ACCOUNT}.dkr.ecr.{place.region}.amazonaws.com"
    return {"id": place.region, "userName": "AWS", "password": Secret("recorded"), "proxyEndpoint": proxy}


def _caller(_args: Inputs, place: Place) -> Mapping[str, Any]:
    arn = place.arn("iam", "user/planner", region="")
    return {"id": ACCOUNT, "accountId": ACCOUNT, "arn": arn, "userId": "AIDAPLANNER"}


LOOKUPS: dict[str, Lookup] = {
    "aws:ecr/getAuthorizationToken:getAuthorizationToken": _authorization_token,
    "aws:index/getCallerIdentity:getCallerIdentity": _caller,
    "aws:index/getPartition:getPartition": _partition,
}
