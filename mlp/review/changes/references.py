"""How a resource shows in the inputs of those that refer to it, and what of them is unknown while it is replaced."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

from mlp.engine.cloud import Registration
from mlp.engine.values import SECRET_SHOWN
from mlp.plan.origins import Origins, texts
from mlp.review.changes.property_paths import Path, at
from mlp.review.node_groups import NODE_GROUP

Cause = Literal["created", "replaced", "changed"]
_SHORTEST = 4
"""Fewest characters of an input by which a value made of it is recognised."""


class Unknown:
    """The outputs of `entry` that are unknown in a preview.

    What is created or replaced has none yet; what is changed has unknown ones if its inputs are.
    """

    def __init__(self, entry: Registration, origins: Origins, *, because: Cause, without: Collection[str] = ()) -> None:
        """Take its inputs but those in `without` for known."""
        self.entry = entry
        self.because = because
        self._sources = origins.sources
        self._computed = origins.computed.get(entry.urn, frozenset())
        known = [*texts({key: value for key, value in entry.inputs.items() if key not in without})]
        # What has an input for its id keeps it, such as a chosen name.
        self._is_given = _reference(entry) in known
        self._inputs = [one for one in known if len(one) >= _SHORTEST]

    @property
    def reason(self) -> str:
        """Return why its outputs are unknown, in words."""
        return f"{self.entry.name} is {self.because}"

    def paths(self, user: Registration, *, identity: bool) -> Iterator[Path]:
        """Yield the paths of the texts, and lists of texts, in the inputs of `user` that are made of these outputs.

        With `identity`, also of those that have its chosen name alone: where such a resource is deleted before it is
        made anew, what is made from it by that name is as well.
        """
        sources = self._sources.get(user.urn, {})
        by_identity = self.because != "changed" and (not self._is_given or (identity and _is_named(self.entry)))
        for key, value in user.inputs.items():
            is_source = self.entry.urn in sources.get(key, ())
            for path, leaf in _leaves(value, (key,)):
                if (by_identity and _names(leaf, self.entry)) or (is_source and self._shows(leaf, path)):
                    yield path

    def _shows(self, leaf: Any, path: Path) -> bool:
        """Return whether a value in an input that is made of outputs of `entry`, among others, is made of these."""
        found = [*texts(leaf)]
        if any(one in text for one in self._computed for text in found):
            return True
        # A whole input is made of them unless an input of theirs is seen in it: that is known.
        return len(path) == 1 and not any(one in text for one in self._inputs for text in found)


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Yield the texts, and the lists without mappings, in `value` with their paths."""
    match value:
        case Mapping():
            for key, item in value.items():
                yield from _leaves(item, (*path, key))
        case list() if any(isinstance(item, Mapping | list) for item in value):
            for place, item in enumerate(value):
                yield from _leaves(item, (*path, place))
        case _:
            yield path, value


def _names(leaf: Any, entry: Registration) -> bool:
    """Return whether `leaf` has the id of `entry`, or is a redacted password of it."""
    found = [*texts(leaf)]
    if SECRET_SHOWN in found and entry.type.startswith("random:"):
        return True
    return bool(entry.id) and any(_reference(entry) in one for one in found)


def _reference(entry: Registration) -> str:
    """Return the text by which others refer to it.

    It is the name without namespace for Kubernetes, the scaling group's prefix for a node group, else the id.
    """
    id_ = entry.id or ""
    if entry.type == NODE_GROUP:
        return f"eks-{id_.rpartition(':')[2]}-"
    return id_.rpartition("/")[2] if entry.type.startswith("kubernetes:") else id_


def _is_named(entry: Registration) -> bool:
    """Return whether the program chose its name."""
    return _reference(entry) in (entry.inputs.get("name"), at(entry.inputs, ("metadata", "name")))
