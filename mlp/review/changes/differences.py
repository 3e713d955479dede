"""What changes between two plans, as Pulumi's engine would decide it: created, changed, replaced, deleted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mlp.engine.cloud import Registration
from mlp.engine.types import forcing
from mlp.engine.values import SECRET_SHOWN
from mlp.plan.origins import Origins
from mlp.plan.planned import ProgramPlan
from mlp.review.changes.moves import Moves
from mlp.review.changes.property_paths import ALL, MissingError, Path, at, covers, differs, parsed, restored
from mlp.review.changes.references import Cause, Unknown
from mlp.review.changes.structure import ABSENT, FieldChange, differences, structured
from mlp.shared.errors import PlatformError

Kind = Literal["created", "replaced", "changed", "deleted"]
_KNOWN_AFTER = "<known after "
_OTHER_SECRET = "[another secret]"  # noqa: S105  what is shown in place of one
_IGNORED = "<as it was left: changes of it were ignored>"
KINDS: tuple[Kind, ...] = ("created", "replaced", "changed", "deleted")


@dataclass(frozen=True, kw_only=True)
class ResourceChange:
    """The change of one resource: to `entry`, from `old` if it existed before."""

    kind: Kind
    entry: Registration
    old: Registration | None = None
    fields: tuple[FieldChange, ...] = ()
    forced_by: tuple[str, ...] = ()
    """Fields that force its replacement."""
    perhaps_replaced: bool = False
    """Whether the provider may replace it because of the change."""
    moved: bool = False
    """Whether it is created or deleted because its URN changed: a new parent or name without an alias."""

    @property
    def follows(self) -> bool:
        """Return whether it is replaced only because a resource that it refers to is."""
        return self.kind == "replaced" and all(is_known_after(one) for one in self.fields)

    @property
    def deleted_first(self) -> bool:
        """Return whether it is replaced and the old resource is deleted before the new one is created."""
        return self.kind == "replaced" and bool(self.entry.delete_before_replace)

    @property
    def retained(self) -> bool:
        """Return whether the deleted or replaced resource stays in the cloud, by its `retain_on_delete`."""
        before = self.entry if self.kind == "deleted" else self.old
        return self.kind in ("deleted", "replaced") and bool(before and before.retain_on_delete)

    def as_data(self) -> dict[str, Any]:
        """Return the change in plain values."""
        one = self.entry
        data: dict[str, Any] = {"change": self.kind, "urn": one.urn, "type": one.type, "name": one.name}
        if self.kind == "replaced":
            data["deleted_first"] = self.deleted_first
        if self.kind in ("deleted", "replaced"):
            data["retained"] = self.retained
        if self.old:
            data["fields"] = [_field_data(one) for one in self.fields]
            data["forced_by"] = list(self.forced_by)
            data["perhaps_replaced"] = self.perhaps_replaced
        else:
            data["moved"] = self.moved
        return data


@dataclass(frozen=True, kw_only=True)
class ProgramChanges:
    """The changes in one program's stack, from the plan `old` to the plan `new`."""

    old: ProgramPlan
    new: ProgramPlan
    resources: tuple[ResourceChange, ...]
    outputs: tuple[FieldChange, ...]
    moved: tuple[tuple[Registration, Registration], ...] = ()
    """Resources that are deleted and created again, as pairs of the old and the new one."""

    @property
    def program(self) -> str:
        """Return the program's label."""
        return self.new.program

    @property
    def counts(self) -> dict[Kind, int]:
        """Return the number of changed resources by kind of change."""
        counted = Counter(one.kind for one in self.resources)
        return {kind: counted[kind] for kind in KINDS}

    def as_data(self) -> dict[str, Any]:
        """Return the changes in plain values."""
        return {
            "counts": dict(self.counts),
            "resources": [one.as_data() for one in self.resources],
            "outputs": [_field_data(one) for one in self.outputs],
        }


def is_known_after(change: FieldChange) -> bool:
    """Return whether the new value refers to a replacement that has not been created yet."""
    return isinstance(change.new, str) and change.new.startswith(_KNOWN_AFTER)


def _field_data(change: FieldChange) -> dict[str, Any]:
    data = {"path": change.path}
    sides = {"old": change.old, "new": change.new}
    return data | {side: value for side, value in sides.items() if value is not ABSENT}


def compare(old: Sequence[ProgramPlan], new: Sequence[ProgramPlan]) -> tuple[ProgramChanges, ...]:
    """Return the changes from the old plans of a stack to the new ones, program by program."""
    before, after = ({one.program: one for one in plans} for plans in (old, new))
    return tuple(
        compare_program(
            before.get(program) or _empty_plan(after[program]), after.get(program) or _empty_plan(before[program])
        )
        for program in dict.fromkeys([*after, *before])
    )


def _empty_plan(like: ProgramPlan) -> ProgramPlan:
    """Return an empty plan, for a program that a stack lacks."""
    return replace(like, resources={}, outputs={})


def compare_program(old: ProgramPlan, new: ProgramPlan) -> ProgramChanges:
    """Return the changes from one plan of a program to another."""
    after = {urn: one for urn, one in new.resources.items() if one.custom}
    matches = dict(_matching_urns(old.resources, after))
    if stayed := Moves((old.resources[was], after[urn]) for urn, was in matches.items() if was != urn):
        old = stayed.plan(old)
    before = {urn: one for urn, one in old.resources.items() if one.custom}
    kept = _Kept([(before[was], after[urn]) for urn, was in matches.items()], new.origins)
    used = set(matches.values())
    gone = [one for urn, one in before.items() if urn not in used]
    made = [one for urn, one in after.items() if urn not in matches]
    moved = _moved(gone, made)
    urns = {one.urn for pair in moved for one in pair}
    changes = [
        *kept.changes(made),
        *(ResourceChange(kind="deleted", entry=one, moved=one.urn in urns) for one in gone),
        *(ResourceChange(kind="created", entry=one, moved=one.urn in urns) for one in made),
    ]
    return ProgramChanges(
        old=old,
        new=new,
        moved=moved,
        resources=tuple(sorted(changes, key=lambda one: (KINDS.index(one.kind), one.entry.urn))),
        outputs=tuple(differences(structured(old.outputs), structured(new.outputs))),
    )


def _matching_urns(before: Mapping[str, Registration], after: Mapping[str, Registration]) -> Iterator[tuple[str, str]]:
    """Yield new URNs with the old ones of the same resource: the same URN, or one of its aliases."""
    for urn, entry in after.items():
        for was in (urn, *entry.aliases):
            if was in before and (was == urn or was not in after):
                yield urn, was
                break


def _moved(gone: Sequence[Registration], made: Sequence[Registration]) -> tuple[tuple[Registration, Registration], ...]:
    """Return pairs of a deleted and a created resource with the same type and name."""
    before, after = ({(one.type, one.name): one for one in entries} for entries in (gone, made))
    return tuple((one, after[key]) for key, one in before.items() if key in after)


@dataclass
class _Change:
    """The change of a resource in both plans, as far as it is known."""

    old: Registration
    new: Registration
    fields: list[FieldChange]
    forced_by: list[str] = field(default_factory=list)


class _Kept:
    """The resources of both plans. A replaced one has another identity, so what refers to it changes too."""

    def __init__(self, pairs: Iterable[tuple[Registration, Registration]], origins: Origins) -> None:
        self.origins = origins
        self.users: dict[str, list[_Change]] = defaultdict(list)
        self.all: dict[str, _Change] = {}
        for was, stated in pairs:
            now = _with_ignored(was, stated)
            change = _Change(was, now, list(_fields(was, now)))
            change.forced_by += _forced_by(change)
            self.all[now.urn] = change
            for urn in {*now.dependencies, *filter(None, [now.provider])}:
                self.users[urn].append(change)

    def changes(self, made: Iterable[Registration]) -> Iterator[ResourceChange]:
        """Yield all changes, with the consequences of replacements and of what is `made` anew."""
        todo: list[tuple[_Change, Cause]] = [(one, "replaced") for one in self.all.values() if one.forced_by]
        todo += [(_Change(one, one, []), "created") for one in made]
        while todo:
            change, because = todo.pop()
            given = [one.keys[0] for one in change.fields if is_known_after(one)]
            cause = Unknown(change.new, self.origins, because=because, without=given)
            for user in self.users[change.new.urn]:
                if self._follow(user, cause):
                    # The API server is not asked what it would make of an object that is not wholly known.
                    todo += [(user, "replaced")] if user.forced_by else [(user, "changed")] * _is_object(user.new)
        for change in self.all.values():
            if change.forced_by or change.fields:
                yield ResourceChange(
                    kind="replaced" if change.forced_by else "changed",
                    entry=change.new,
                    old=change.old,
                    fields=tuple(change.fields),
                    forced_by=tuple(dict.fromkeys(change.forced_by)),
                    perhaps_replaced=not change.forced_by and _perhaps_replaced(change),
                )

    def _follow(self, user: _Change, cause: Unknown) -> bool:
        """Record on `user` what follows from unknown outputs that it refers to; return whether that is anything new."""
        entry, before = user.new, (len(user.fields), bool(user.forced_by))
        if cause.because == "created":  # what refers to it differs by that
            return any(cause.paths(entry, identity=False))
        if cause.because == "replaced" and entry.provider == cause.entry.urn:
            user.forced_by.append(f"provider ({cause.reason})")
        if entry.type == "pulumi:providers:kubernetes" and cause.entry.type == "aws:eks/cluster:Cluster":
            user.forced_by.append(f"kubeconfig ({cause.reason})")
        rules = forcing(entry.type)
        forced: dict[str, Path] = {".".join(path): path for path in (rules.paths if rules else ())}
        # Below a wildcard anything may be meant.
        forced |= {path: _before_wildcard(path) for path in entry.replace_on_changes}
        unknown = list(cause.paths(entry, identity=True))
        for shown, path in forced.items():
            if any(_leads_to(path, one) or _leads_to(one, path) for one in unknown):
                user.forced_by.append(f"{shown} ({cause.reason})")
        known = list(user.fields)
        for path in cause.paths(entry, identity=False):
            new = f"{_KNOWN_AFTER}{cause.reason}>"
            follows = FieldChange(keys=_names(path), old=at(user.old.inputs, path), new=new)
            if not any(_overlap(one, follows) for one in known):
                user.fields.append(follows)
        return before != (len(user.fields), bool(user.forced_by))


def _is_object(entry: Registration) -> bool:
    return entry.type.startswith("kubernetes:")


def _leads_to(above: Path, path: Path) -> bool:
    return above == path[: len(above)]


def _overlap(known: FieldChange, follows: FieldChange) -> bool:
    """Return whether the path of one change is the other's, or leads to it."""
    # A change within a list may be known by the entry's name instead of its place.
    one, other = (known.keys, follows.keys) if is_known_after(known) else (known.fields, follows.fields)
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def _with_ignored(old: Registration, new: Registration) -> Registration:
    """Return `new` with the values of `old` wherever the program ignores changes."""
    inputs: Any = new.inputs
    for path in new.ignore_changes:
        try:
            inputs = restored(old.inputs, inputs, parsed(path))
        except MissingError:
            raise PlatformError(
                f"{new.type} {new.name}: changes of {path} are to be ignored, but what leads to it, or an entry of a "
                "list, is there before or after alone, which Pulumi refuses; ignore what is above it"
            ) from None
    return replace(new, inputs=inputs)


def _before_wildcard(path: str) -> Path:
    """Return the keys of a property path up to its first wildcard."""
    keys = parsed(path)
    return keys[: keys.index(ALL)] if ALL in keys else keys


def _other_secrets(old: Registration, new: Registration) -> Iterator[FieldChange]:
    """Yield secrets that differ; a plan without digests, of an older version, does not tell."""
    ignored = [parsed(path) for path in new.ignore_changes]
    for path in sorted({*old.secrets} & {*new.secrets}):
        keys = parsed(path)
        if old.secrets[path] != new.secrets[path] and not any(covers(one, keys) for one in ignored):
            yield FieldChange(keys=_names(keys), old=SECRET_SHOWN, new=_OTHER_SECRET)


def _ignored_no_longer(old: Registration, new: Registration) -> Iterator[FieldChange]:
    """Yield fields whose changes are no longer ignored: the last deployment may have left any value."""
    for path in sorted({*old.ignore_changes} - {*new.ignore_changes}):
        keys = _before_wildcard(path)
        yield FieldChange(keys=_names(keys), old=_IGNORED, new=at(new.inputs, keys))


def _names(keys: Path) -> tuple[str, ...]:
    return tuple(f"[{one}]" if isinstance(one, int) else one for one in keys)


def _fields(old: Registration, new: Registration) -> Iterator[FieldChange]:
    """Yield the differences in a resource's inputs, provider and protection."""
    for key in sorted({*old.inputs, *new.inputs}):
        was, now = old.inputs.get(key, ABSENT), new.inputs.get(key, ABSENT)
        if was == now:
            continue
        found = list(differences(structured(was), structured(now), (key,)))
        # AWS reads a document; elsewhere the text itself is what is kept.
        yield from found or ([] if new.type.startswith("aws:") else differences(was, now, (key,)))
    yield from _other_secrets(old, new)
    yield from _ignored_no_longer(old, new)
    if old.provider != new.provider:
        yield FieldChange(keys=("provider",), old=old.provider, new=new.provider)
    if old.protect != new.protect:
        yield FieldChange(keys=("protect",), old=old.protect, new=new.protect)


def _forced_by(change: _Change) -> Iterator[str]:
    rules = forcing(change.new.type)
    for one in change.fields:
        # Pulumi's engine replaces what comes from another provider.
        if one.keys == ("provider",):
            yield one.path
        yield from (".".join(path) for path in (rules.paths if rules else ()) if _covers(path, one))
    if change.fields:
        old, new = (structured(one.inputs) for one in (change.old, change.new))
        yield from (path for path in change.new.replace_on_changes if differs(old, new, parsed(path)))


def _perhaps_replaced(change: _Change) -> bool:
    rules = forcing(change.new.type)
    fields = [one for one in change.fields if one.keys != ("protect",)]
    return any(rules is None or any(_covers(path, one) for path in rules.perhaps) for one in fields)


def _covers(path: tuple[str, ...], change: FieldChange) -> bool:
    """Return whether the value at `path` or below it changes."""
    shared = min(len(path), len(change.fields))
    if path[:shared] != change.fields[:shared]:
        return False
    return bool(_at(change.old, path[shared:]) != _at(change.new, path[shared:]))


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key, ABSENT) if isinstance(value, Mapping) else ABSENT
    return value
