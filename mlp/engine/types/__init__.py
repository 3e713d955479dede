"""The resource types that plans may contain: one row a type, in one file a service.

A row has all that the platform must know of a type: how it is recorded offline, how an emulator creates it, what
replaces it, how long creation takes, whether it holds data, what it costs. A type without a row is refused by name.
"""

from __future__ import annotations

from mlp.engine.types import (
    acm,
    autoscaling,
    budgets,
    cloudwatch,
    docker,
    ec2,
    ecr,
    eks,
    iam,
    kms,
    kubernetes,
    pulumi,
    random,
    rds,
    route53,
    s3,
    secretsmanager,
    sns,
    vpc,
    wafv2,
)
from mlp.engine.types.facts import Forcing, TypeFacts
from mlp.shared.errors import PlatformError

TYPES: dict[str, TypeFacts] = {
    **acm.TYPES,
    **autoscaling.TYPES,
    **budgets.TYPES,
    **cloudwatch.TYPES,
    **docker.TYPES,
    **ec2.TYPES,
    **ecr.TYPES,
    **eks.TYPES,
    **iam.TYPES,
    **kms.TYPES,
    **kubernetes.TYPES,
    **pulumi.TYPES,
    **random.TYPES,
    **rds.TYPES,
    **route53.TYPES,
    **s3.TYPES,
    **secretsmanager.TYPES,
    **sns.TYPES,
    **vpc.TYPES,
    **wafv2.TYPES,
}


class UnknownTypeError(PlatformError):
    """A resource type that has no row."""

    def __init__(self, type_: str) -> None:
        super().__init__(f"{type_} is no known resource type; {how_to_add(type_)}")


def facts_of(type_: str) -> TypeFacts:
    """Return the row of a type that a current program declares. Raise UnknownTypeError for one without a row."""
    facts = TYPES.get(type_)
    if facts is None:
        raise UnknownTypeError(type_)
    return facts


def forcing(type_: str) -> Forcing | None:
    """Return what forces a resource of `type_` to be replaced; None for a type of an older plan without a row."""
    facts = TYPES.get(type_)
    return facts.replaced_by if facts else None


def precious(type_: str) -> str | None:
    """Return, in words, what is lost with a resource of `type_`; None for a disposable type, or without a row."""
    facts = TYPES.get(type_)
    return facts.precious if facts else None


def how_to_add(type_: str) -> str:
    """Return how to add a type without a row, for a message."""
    return f"add its row to {file_of(type_)}"


def file_of(type_: str) -> str:
    """Return the file for the row of `type_`: by service for AWS, by package for all else."""
    package, _, module = type_.partition(":")
    name = module.partition("/")[0] if package == "aws" else package.removesuffix("-build")
    return f"mlp/engine/types/{name}.py"
