"""A stack that was applied to the emulator in this process, and ways to ask what exists there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.route53.models import HostedZoneIdentifier
from moto.utilities.id_generator import moto_id_manager

from mlp.engine.cloud import ACCOUNT
from mlp.engine.clouds.emulated import EMULATOR_ENVIRONMENT, EmulatedCloud
from mlp.engine.deployment import Deployment, Resource, run_program
from mlp.engine.programs import PLATFORM
from mlp.engine.values import revealed
from tests.builders import PLATFORM_WITH_AIRFLOW

REGION = "us-east-1"
ZONES = ["us-east-1a", "us-east-1b", "us-east-1c"]


@dataclass(frozen=True, kw_only=True)
class Applied:
    """A stack that was applied."""

    stack: str
    deployment: Deployment
    _clients: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def settings(self) -> dict[str, Any]:
        """What the stack's file sets."""
        return settings_of(self.stack)

    @property
    def outputs(self) -> dict[str, Any]:
        """The stack's outputs; secrets are opened."""
        outputs: dict[str, Any] = revealed(self.deployment.outputs)
        return outputs

    def client(self, service: str) -> Any:
        """The one client of `service`; making one costs as much as a dozen requests."""
        if service not in self._clients:
            client = boto3.client(service, region_name=REGION)  # type: ignore[call-overload]  # typed for literals alone
            self._clients[service] = client
        return self._clients[service]

    def only(self, type_: str, name: str = "") -> Resource:
        [resource] = [one for one in self.deployment.of_type(type_) if name in ("", one.wanted.name)]
        return resource

    def inputs(self, type_: str, name: str = "") -> dict[str, Any]:
        inputs: dict[str, Any] = revealed(self.only(type_, name).wanted.inputs)
        return inputs

    def id(self, type_: str, name: str = "") -> str:
        created = self.only(type_, name).created
        assert created is not None
        return created.id

    @property
    def vpc(self) -> str:
        return self.id("aws:ec2/vpc:Vpc")

    def in_vpc(self, operation: str, answer: str) -> list[dict[str, Any]]:
        filters = [{"Name": "vpc-id", "Values": [self.vpc]}]
        found: list[dict[str, Any]] = getattr(self.client("ec2"), operation)(Filters=filters)[answer]
        return found

    def subnets(self, kind: str) -> list[dict[str, Any]]:
        """The subnets of `kind` in the order of their zones."""
        found = [
            subnet
            for subnet in self.in_vpc("describe_subnets", "Subnets")
            if tags(subnet)["Name"].startswith(f"network-{kind}-")
        ]
        return sorted(found, key=lambda subnet: str(subnet["AvailabilityZone"]))

    def security_group(self, id_: str) -> dict[str, Any]:
        [group] = self.client("ec2").describe_security_groups(GroupIds=[id_])["SecurityGroups"]
        return dict(group)

    def node_groups(self) -> dict[str, dict[str, Any]]:
        """By pool."""
        eks, cluster = self.client("eks"), f"ml-platform-{self.stack}"
        groups = [
            eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"]
            for name in eks.list_nodegroups(clusterName=cluster)["nodegroups"]
        ]
        return {group["labels"]["ml-platform/pool"]: group for group in groups}

    def scaling_group(self, pool: str) -> dict[str, Any]:
        """The auto-scaling group behind a pool."""
        [named] = self.node_groups()[pool]["resources"]["autoScalingGroups"]
        [group] = self.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[named["name"]])[
            "AutoScalingGroups"
        ]
        return dict(group)

    def generated_passwords(self) -> list[str]:
        made = self.deployment.of_type("random:index/randomPassword:RandomPassword")
        return [revealed(one.created.outputs["result"]) for one in made if one.created]


@contextmanager
def applied_stack(stack: str) -> Iterator[Applied]:
    """`stack`, with Airflow, on an emulator that held nothing but the zone, if any, that its settings name."""
    with emulator_settings(), mock_aws():
        edge = settings_of(stack).get("edge", {})
        if "zone_id" in edge:
            make_zone(edge["domain"], edge["zone_id"])
        yield Applied(stack=stack, deployment=run_program(PLATFORM_WITH_AIRFLOW, stack, EmulatedCloud(None)))


@contextmanager
def emulator_settings() -> Iterator[None]:
    """The environment in which an emulator must be started that a whole platform is applied to."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in EMULATOR_ENVIRONMENT.items():
            environment.setenv(name, value)
        yield


def settings_of(stack: str) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(PLATFORM.config(stack).values["ml-platform:settings"])
    return settings


def make_zone(domain: str, zone_id: str) -> None:
    """Make a hosted zone with an id that was given to it, where Route 53 would choose one."""
    wanted = HostedZoneIdentifier(ACCOUNT, f"{domain}.", None)
    moto_id_manager.set_custom_id(wanted, zone_id)
    boto3.client("route53", region_name=REGION).create_hosted_zone(Name=domain, CallerReference=zone_id)
    moto_id_manager.unset_custom_id(wanted)


def tags(described: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in described["Tags"]}
