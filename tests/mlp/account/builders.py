"""What tests of the bootstrap share: an emulated account, and a stand-in for what the emulator lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import boto3
import botocore.session
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from mlp.account.options import BootstrapOptions

ACCOUNT = "123456789012"
EMAIL = "costs@example.org"


def options(**more: Any) -> BootstrapOptions:
    asked: dict[str, Any] = {"repository": "team/platform", "environments": ("dev", "prod"), "region": "us-east-1"}
    return BootstrapOptions(**(asked | more))


def refusal(code: str, message: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@cache
def emulated(service: str, region: str) -> Any:
    """A client, made once in a process: that takes longer than most tests."""
    return boto3.client(service, region_name=region)  # type: ignore[call-overload]  # typed for literals alone


class Quiet:
    """Progress that nobody looks at."""

    def say(self, line: str) -> None:
        """Nothing."""

    def begin(self, what: str) -> None:
        """Nothing."""

    def end(self, what: str) -> None:
        """Nothing."""


class FakeCostExplorer:
    """Cost Explorer of one account; takes and answers what botocore's model of the service says.

    It lists one thing a page. `unavailable` is raised by every call.
    """

    def __init__(self, *, seen_tags: tuple[str, ...] = (), unavailable: ClientError | None = None) -> None:
        self.monitors: list[dict[str, Any]] = []
        self.subscriptions: list[dict[str, Any]] = []
        self.tags = dict.fromkeys(seen_tags, "Inactive")
        self.unavailable = unavailable
        self._model = botocore.session.Session().get_service_model("ce")

    def get_anomaly_monitors(self, **given: Any) -> dict[str, Any]:
        self._check("GetAnomalyMonitors", given)
        return self._page("AnomalyMonitors", self.monitors, "NextPageToken", given)

    def create_anomaly_monitor(self, **given: Any) -> dict[str, Any]:
        self._check("CreateAnomalyMonitor", given)
        wanted = given["AnomalyMonitor"]
        if any(one.get("MonitorDimension") == wanted.get("MonitorDimension") for one in self.monitors):
            raise refusal("LimitExceededException", "one monitor a dimension", "CreateAnomalyMonitor")
        arn = f"arn:aws:ce::{ACCOUNT}:anomalymonitor/{len(self.monitors)}"
        self.monitors.append({**wanted, "MonitorArn": arn})
        return {"MonitorArn": arn}

    def get_anomaly_subscriptions(self, **given: Any) -> dict[str, Any]:
        self._check("GetAnomalySubscriptions", given)
        found = [one for one in self.subscriptions if given["MonitorArn"] in one["MonitorArnList"]]
        return self._page("AnomalySubscriptions", found, "NextPageToken", given)

    def create_anomaly_subscription(self, **given: Any) -> dict[str, Any]:
        self._check("CreateAnomalySubscription", given)
        arn = f"arn:aws:ce::{ACCOUNT}:anomalysubscription/{len(self.subscriptions)}"
        self.subscriptions.append({**self._stored(given["AnomalySubscription"]), "SubscriptionArn": arn})
        return {"SubscriptionArn": arn}

    def update_anomaly_subscription(self, **given: Any) -> dict[str, Any]:
        self._check("UpdateAnomalySubscription", given)
        [found] = [one for one in self.subscriptions if one["SubscriptionArn"] == given["SubscriptionArn"]]
        found.update(self._stored(given))
        return {"SubscriptionArn": found["SubscriptionArn"]}

    def list_cost_allocation_tags(self, **given: Any) -> dict[str, Any]:
        self._check("ListCostAllocationTags", given)
        found = [
            {"TagKey": key, "Type": "UserDefined", "Status": status}
            for key, status in self.tags.items()
            if key in given["TagKeys"]
        ]
        return self._page("CostAllocationTags", found, "NextToken", given)

    def update_cost_allocation_tags_status(self, **given: Any) -> dict[str, Any]:
        self._check("UpdateCostAllocationTagsStatus", given)
        errors = []
        for one in given["CostAllocationTagsStatus"]:
            if one["TagKey"] in self.tags:
                self.tags[one["TagKey"]] = one["Status"]
            else:
                errors.append({"TagKey": one["TagKey"], "Code": "TagKeysNotFoundException", "Message": "not found"})
        return {"Errors": errors}

    def _check(self, operation: str, given: dict[str, Any]) -> None:
        if self.unavailable:
            raise self.unavailable
        shape = self._model.operation_model(operation).input_shape
        assert shape is not None
        report = ParamValidator().validate(given, shape)
        assert not report.has_errors(), report.generate_report()

    @staticmethod
    def _stored(subscription: dict[str, Any]) -> dict[str, Any]:
        """As AWS gives it back: it says whether an address was confirmed, and spells amounts its own way."""
        subscribers = [{**one, "Status": "CONFIRMED"} for one in reversed(subscription["Subscribers"])]
        dimensions = subscription["ThresholdExpression"]["Dimensions"]
        amount = {**dimensions, "Values": [f"{float(value):.1f}" for value in dimensions["Values"]]}
        return {**subscription, "Subscribers": subscribers, "ThresholdExpression": {"Dimensions": amount}}

    @staticmethod
    def _page(key: str, items: list[dict[str, Any]], token: str, given: dict[str, Any]) -> dict[str, Any]:
        start = int(given.get(token, 0))
        rest = {token: str(start + 1)} if start + 1 < len(items) else {}
        return {key: items[start : start + 1], **rest}


class Watched:
    """A client of the emulator's that keeps which changes were asked for.

    `refused` is a call, a value that it is given (or None for any), and the error it ends in; with `read_only`, every
    change ends in a refusal.
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        self.refused: tuple[str, str | None, Exception] | None = None
        self.read_only = False
        self.changes: list[str] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.client, name)
        if name == "get_paginator":
            return real

        def call(**given: Any) -> Any:
            if self.refused and name == self.refused[0] and self.refused[1] in {None, *map(str, given.values())}:
                raise self.refused[2]
            if not re.match(r"get_|list_|describe_|head_", name):
                if self.read_only:
                    raise refusal("AccessDenied", "read-only", name)
                self.changes.append(name)
            return real(**given)

        return call


class Iam(Watched):
    """The emulator's IAM with the one call that it lacks."""

    def __init__(self) -> None:
        super().__init__(emulated("iam", "us-east-1"))

    def add_client_id_to_open_id_connect_provider(self, *, OpenIDConnectProviderArn: str, ClientID: str) -> None:  # noqa: N803
        if self.read_only:
            raise refusal("AccessDenied", "read-only", "AddClientIDToOpenIDConnectProvider")
        provider = self.client.get_open_id_connect_provider(OpenIDConnectProviderArn=OpenIDConnectProviderArn)
        self.client.delete_open_id_connect_provider(OpenIDConnectProviderArn=OpenIDConnectProviderArn)
        self.client.create_open_id_connect_provider(
            Url=f"https://{provider['Url']}", ClientIDList=[*provider["ClientIDList"], ClientID]
        )


class EmulatedAccount:
    """Clients of an AWS account on moto, which must be on, and of a fake Cost Explorer."""

    def __init__(self, region: str = "us-east-1") -> None:
        self.iam = Iam()
        self.ce = FakeCostExplorer()
        self.s3 = Watched(emulated("s3", region))
        self.kms = Watched(emulated("kms", region))
        self.route53 = Watched(emulated("route53", region))
        self._sts = emulated("sts", region)

    def __call__(self, service: str) -> Any:
        return {
            "iam": self.iam,
            "ce": self.ce,
            "s3": self.s3,
            "kms": self.kms,
            "route53": self.route53,
            "sts": self._sts,
        }[service]

    @property
    def changes(self) -> list[str]:
        """The changes that all services but Cost Explorer were asked for."""
        return [name for one in (self.s3, self.kms, self.iam, self.route53) for name in one.changes]

    def policies_of(self, role: str) -> Iterator[dict[str, Any]]:
        """The inline policies of a role."""
        for name in self.iam.list_role_policies(RoleName=role)["PolicyNames"]:
            yield self.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]

    def trust_of(self, role: str) -> Any:
        """The trust policy of a role."""
        return self.iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
