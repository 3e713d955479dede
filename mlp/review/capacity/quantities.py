"""Kubernetes quantities: `500m` of a CPU, `2Gi` of memory."""

from __future__ import annotations

import math
import re
from fractions import Fraction

CPU, MEMORY, GPU, DISK, PODS = "cpu", "memory", "nvidia.com/gpu", "ephemeral-storage", "pods"
MIB = 2**20

# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_FORM = re.compile(r"(?P<number>\d+\.?\d*|\.\d+)(?:[eE](?P<exponent>[+-]?\d{1,2})|(?P<suffix>[numkMGTPE]|[KMGTPE]i))?")
_SUFFIXES = {
    **{suffix: Fraction(10) ** (3 * step) for step, suffix in enumerate(("n", "u", "m", "", "k", *"MGTPE"), start=-3)},
    **{f"{letter}i": Fraction(1024**step) for step, letter in enumerate("KMGTPE", start=1)},
}


def quantity(written: object) -> Fraction:
    """Return the number that a quantity denotes. Raise ValueError for anything else, and for one below zero."""
    found = _FORM.fullmatch(str(written))
    if not found:
        raise ValueError(
            f"{written!r} is not a quantity; write a number, alone or with one of m, k, M, G, T, Ki, Mi, Gi, Ti right "
            "behind it, such as 500m or 2Gi"
        )
    exponent = int(found["exponent"] or 0)
    return Fraction(found["number"]) * Fraction(10) ** exponent * _SUFFIXES[found["suffix"] or ""]


def amount(resource: str, written: object) -> int:
    """Return a quantity in the scheduler's unit, rounded up: millicores of a CPU, whole units of all else."""
    return math.ceil(quantity(written) * (1000 if resource == CPU else 1))


def shown(resource: str, count: int) -> str:
    """Return an amount for people: `1930m`, `6837Mi`, `3`; memory is rounded to the nearest MiB."""
    if resource == CPU:
        return f"{count}m"
    if resource in (MEMORY, DISK):
        return f"{round(count / MIB)}Mi"
    return str(count)
