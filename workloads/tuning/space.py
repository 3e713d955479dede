"""The search space: the distributions that a yaml file gives for config keys, validated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

KINDS = {
    "loguniform": "two numbers, 0 < low < high",
    "uniform": "two numbers, low < high",
    "choice": "a list of values",
    "int": "two whole numbers, low < high",
    "logint": "two whole numbers, 0 < low < high",
}
"""The values that each kind of distribution takes."""
WHEN = "when"
FIXED = ("epochs", "max_steps", "name", "search", "registry", "tracking", "checkpoint")
"""Keys and sections that are the same for all trials of a search: trials could not be compared, or stored,
otherwise."""


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """The distribution of one key: among the `values` of a `choice`, or between the two numbers in `values`.

    With `when` only in trials in which each key named there has one of the values given there.
    """

    kind: str
    values: tuple[object, ...]
    when: Mapping[str, tuple[object, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, found: object) -> Dimension:
        """Parse yaml such as `{loguniform: [0.01, 1]}`; raise ValueError that names what is allowed."""
        rest = dict(found) if isinstance(found, Mapping) else {}
        when = rest.pop(WHEN, {})
        if len(rest) != 1 or next(iter(rest)) not in KINDS:
            kinds = ", ".join(f"{{{kind}: {values}}}" for kind, values in KINDS.items())
            raise ValueError(f"must be one of {kinds}, with or without {WHEN}: {{key: [values]}}")
        [(kind, values)] = rest.items()
        if not isinstance(values, list) or not values or not _fit(kind, values):
            raise ValueError(f"{kind} takes {KINDS[kind]}")
        if not isinstance(when, Mapping) or not all(isinstance(some, list) and some for some in when.values()):
            raise ValueError(f"{WHEN} takes keys of the space, each with a list of its values")
        return cls(kind=kind, values=tuple(values), when={str(key): tuple(some) for key, some in when.items()})

    @property
    def ends(self) -> tuple[object, ...]:
        """The extreme values: all of a choice, else the lowest and the highest."""
        if self.kind in ("uniform", "loguniform"):
            return tuple(float(str(value)) for value in self.values)
        return self.values

    def as_data(self) -> dict[str, object]:
        """Return the value that `parse` would turn into this dimension."""
        when = {key: list(values) for key, values in self.when.items()}
        return {self.kind: list(self.values)} | ({WHEN: when} if when else {})


def faults(space: Mapping[str, Dimension]) -> Iterator[tuple[str, object, str]]:
    """Yield the errors between the keys of a space: key, value found, and what is allowed."""
    for key, dimension in space.items():
        if key in FIXED or key.partition(".")[0] in FIXED:
            yield key, dimension.as_data(), "is the same for all trials of a search; change it by --set"
        for other, wanted in dimension.when.items():
            parent = space.get(other)
            if parent is None or parent.kind != "choice" or other == key:
                yield f"{key}.{WHEN}", other, "must name another key of the space, one that is a choice"
                continue
            for value in wanted:
                if value not in parent.values:
                    allowed = ", ".join(map(str, parent.values))
                    yield f"{key}.{WHEN}.{other}", value, f"must be one of {allowed}"
    in_circle = set(space) - {key for key, _ in in_order(space)}
    for key in sorted(in_circle):
        if all(other in space and other != key for other in space[key].when):
            yield f"{key}.{WHEN}", list(space[key].when), "must not depend on itself, by way of other keys either"


def in_order(space: Mapping[str, Dimension]) -> list[tuple[str, Dimension]]:
    """Return each key after those on which it depends, without keys in a cycle or with unknown dependencies."""
    order: dict[str, Dimension] = {}
    while ready := [key for key in space if key not in order and all(other in order for other in space[key].when)]:
        order |= {key: space[key] for key in ready}
    return list(order.items())


def is_active(dimension: Dimension, params: Mapping[str, object]) -> bool:
    """Return whether a trial with these parameters, sampled before, has the key."""
    return all(params.get(key) in values and key in params for key, values in dimension.when.items())


def _fit(kind: str, values: list[object]) -> bool:
    if kind == "choice":
        return all(value is None or isinstance(value, bool | int | float | str) for value in values)
    wanted = int if kind in ("int", "logint") else int | float
    numbers = [value for value in values if isinstance(value, wanted) and not isinstance(value, bool)]
    if len(values) != 2 or len(numbers) != 2:
        return False
    low, high = numbers
    return bool(low < high and (low > 0 or not kind.startswith("log")))
