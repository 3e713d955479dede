"""Exemptions: rules that a named resource may break, for a reason and until a day."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from policies.rules.model import PlannedResource

FILE = Path(__file__).resolve().parents[1] / "exemptions.yaml"
_KEYS = {"rule", "type", "name", "urn", "environments", "reason", "until"}
_SHORTEST_REASON = 20  # characters; less is no reason


class ExemptionsError(ValueError):
    """An invalid file of exemptions; the message lists all errors."""


@dataclass(frozen=True, kw_only=True)
class Exemption:
    """Exempts resources from `rule` through the day `until`: by `type` and `name`, or by a pattern `urn`."""

    rule: str
    reason: str
    until: date
    type: str | None = None
    name: str | None = None
    urn: str | None = None
    """Pattern of URNs; `*` stands for any text."""
    environments: tuple[str, ...] = ()
    """Environments in which it is valid; everywhere if empty."""

    @property
    def resource(self) -> str:
        """Return the exempted resources, in words."""
        return self.urn or f"{self.type} {self.name}"

    def applies_in(self, environment: str) -> bool:
        """Return whether it is valid in an environment."""
        return not self.environments or environment in self.environments

    def is_expired(self, today: date) -> bool:
        """Return whether it has expired."""
        return today > self.until

    def covers(self, rule: str, resource: PlannedResource) -> bool:
        """Return whether it exempts `resource` from `rule`, whatever the day."""
        if rule != self.rule:
            return False
        if self.urn is not None:
            return fnmatchcase(resource.urn, self.urn)
        return (resource.type, resource.name) == (self.type, self.name)


def load(rules: Collection[str], path: Path = FILE) -> tuple[Exemption, ...]:
    """Return the exemptions of a file; `rules` are the known rule names. Raise ExemptionsError with every error."""
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ExemptionsError(f"{path.name} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ExemptionsError(f"{path.name} is not valid YAML: {' '.join(str(error).split())}") from None
    entries = content.get("exemptions") if isinstance(content, dict) and set(content) == {"exemptions"} else None
    if not isinstance(entries, list):
        raise ExemptionsError(f"{path.name} must hold one list, `exemptions` (`exemptions: []` for none)")
    faults = [f"  exemptions[{number}]{fault}" for number, one in enumerate(entries) for fault in _faults(one, rules)]
    if faults:
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        raise ExemptionsError(
            "\n".join([f"{path.name} has {count}, and nothing is checked until they are fixed:", *faults])
        )
    return tuple(
        Exemption(
            **{**one, "reason": " ".join(one["reason"].split()), "environments": tuple(one.get("environments", ()))}
        )
        for one in entries
    )


def _faults(entry: Any, rules: Collection[str]) -> Iterator[str]:
    if not isinstance(entry, Mapping):
        yield f": must be a mapping (got {entry!r})"
        return
    yield from (f".{key}: unknown; the keys are {', '.join(sorted(_KEYS))}" for key in entry if key not in _KEYS)
    if not isinstance(entry.get("rule"), str) or entry["rule"] not in rules:
        yield f".rule: there is no rule {entry.get('rule')!r}; `mlp policies` lists them"
    yield from _resource_faults(entry)
    reason, until = entry.get("reason"), entry.get("until")
    if not isinstance(reason, str) or len(reason.strip()) < _SHORTEST_REASON:
        yield f".reason: explain in {_SHORTEST_REASON} characters or more why this is right (got {reason!r})"
    if not isinstance(until, date) or isinstance(until, datetime):
        yield f".until: must be the last day on which it holds, as YYYY-MM-DD (got {until!r})"
    environments = entry.get("environments", [])
    if not isinstance(environments, list) or not all(isinstance(one, str) for one in environments):
        yield f".environments: must be a list of names of stacks (got {environments!r})"


def _resource_faults(entry: Mapping[str, Any]) -> Iterator[str]:
    named = {key: entry[key] for key in ("type", "name", "urn") if key in entry}
    if set(named) not in ({"type", "name"}, {"urn"}):
        yield f".resource: name it by `type` and `name`, or by `urn` (got {', '.join(named) or 'none of them'})"
    for key, value in named.items():
        if not isinstance(value, str) or not value:
            yield f".{key}: must be text (got {value!r})"
    urn = named.get("urn")
    if isinstance(urn, str) and not urn.rpartition("::")[2].strip("*?"):
        yield f".urn: must end in a resource's name, or it would switch the rule off (got {urn!r})"
