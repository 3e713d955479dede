"""Recorders of ids and ARNs that several services form in the same way."""

from __future__ import annotations

from mlp.engine.cloud import ACCOUNT, Created, Place, Registration, hex_digits, physical_name
from mlp.engine.types.facts import Inputs, Recorder


def with_id(prefix: str) -> Recorder:
    """Return the recorder of an EC2 resource whose id is a prefix and 17 hex digits."""

    def record(wanted: Registration, _inputs: Inputs, _place: Place) -> Created:
        return Created(id=f"{prefix}-{hex_digits(wanted.urn, 17)}")

    return record


def with_ec2_arn(prefix: str, kind: str) -> Recorder:
    """Return the recorder of an EC2 resource that has an ARN as well as an id."""

    def record(wanted: Registration, inputs: Inputs, place: Place) -> Created:
        created = with_id(prefix)(wanted, inputs, place)
        return Created(id=created.id, outputs={"arn": place.arn("ec2", f"{kind}/{created.id}"), "ownerId": ACCOUNT})

    return record


def named_by(*keys: str) -> Recorder:
    """Return the recorder of a resource whose id is made of its inputs `keys`."""

    def record(_wanted: Registration, inputs: Inputs, _place: Place) -> Created:
        return Created(id=":".join(str(inputs[key]) for key in keys))

    return record


def named_arn(service: str, kind: str) -> Recorder:
    """Return the recorder of a resource whose id is its name, with an ARN that ends in it."""

    def record(wanted: Registration, inputs: Inputs, place: Place) -> Created:
        name = inputs.get("name") or physical_name(wanted)
        return Created(id=name, outputs={"name": name, "arn": place.arn(service, f"{kind}:{name}")})

    return record


def uuid(seed: str) -> str:
    """Return a UUID derived from `seed`."""
    digits = hex_digits(seed, 32)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
