"""The search space as data: what a yaml file says about one key, checked and kept."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = {
    "loguniform": "two numbers, 0 < low < high",
    "uniform": "two numbers, low < high",
    "choice": "a list of values",
}


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """Where one key's values are drawn from: `choice` among `values`, or between the two numbers in `values`."""

    kind: str
    values: tuple[object, ...]

    @classmethod
    def parse(cls, found: object) -> Dimension:
        """The dimension that yaml such as `{loguniform: [0.01, 1]}` means; ValueError says what is allowed."""
        if not isinstance(found, dict) or len(found) != 1 or next(iter(found)) not in KINDS:
            raise ValueError("must be one of " + ", ".join(f"{{{kind}: {values}}}" for kind, values in KINDS.items()))
        [(kind, values)] = found.items()
        if not isinstance(values, list) or not values:
            raise ValueError(f"{kind} takes {KINDS[kind]}")
        if kind != "choice":
            numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
            if len(values) != 2 or len(numbers) != 2 or not numbers[0] < numbers[1]:
                raise ValueError(f"{kind} takes {KINDS[kind]}")
            if kind == "loguniform" and not numbers[0] > 0:
                raise ValueError(f"{kind} takes {KINDS[kind]}")
        return cls(kind=kind, values=tuple(values))

    def as_data(self) -> dict[str, list[object]]:
        """What `parse` would turn into this value."""
        return {self.kind: list(self.values)}
