"""Plans committed to the repository, so that a change shows its effect on an environment before anybody runs it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from mlp.engine.programs import PLATFORM, WORKLOADS
from mlp.plan.codec import PlanData, plan_data
from mlp.plan.planned import ProgramPlan
from mlp.shared.checkout import REPOSITORY
from mlp.shared.errors import PlatformError
from mlp.shared.files import write_whole

FORMAT = 3
"""Version of a plan's file; 1 had no options but `protect`, 2 no digests of secrets."""
FOLDER = "stacks/plans"
PROGRAMS = (PLATFORM.label, WORKLOADS.label)
"""Labels of the programs with plans; the platform is first, since each stack has a plan of it."""
_MAX_ERRORS = 10
_Model = TypeVar("_Model", bound=BaseModel)


def file_name(program: str, stack: str) -> str:
    """Return the path of a plan's file, relative to the repository's root."""
    return f"{FOLDER}/{program}.{stack}.json"


def as_text(plan: ProgramPlan) -> str:
    """Return the content of a plan's file, the same on every machine."""
    data = {"format": FORMAT, "program": plan.program, "stack": plan.stack, **plan_data(plan)}
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def write(stack: str, plans: Sequence[ProgramPlan], repository: Path = REPOSITORY) -> dict[str, str]:
    """Write `plans` as the only plan files of `stack`; return by file name what was done with it."""
    texts = {one.program: as_text(one) for one in plans}
    done = {}
    for program in PROGRAMS:
        name = file_name(program, stack)
        path, text = repository / name, texts.get(program)
        if text is None:
            if path.exists():
                path.unlink()
                done[name] = "removed"
        elif path.exists() and path.read_text() == text:
            done[name] = "is current"
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, text)
            done[name] = "written"
    return done


def read(stack: str, repository: Path = REPOSITORY) -> list[ProgramPlan]:
    """Return the committed plans of `stack`, the platform's first; none if it has none. Raise as `parse` does."""
    found = []
    for program in PROGRAMS:
        path = repository / file_name(program, stack)
        if path.exists():
            found.append(parse(path.read_bytes(), path.relative_to(repository).as_posix(), program, stack))
    return found


class _File(PlanData):
    format: Literal[1, 2, 3]
    program: str
    stack: str


def parse(content: bytes, name: str, program: str, stack: str) -> ProgramPlan:
    """Return the plan in the file `name`. Raise PlatformError, with all errors, for a file that is not this plan."""
    remedy = f"`mlp snapshot {stack}` rewrites it"
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:  # not JSON, not even text, or nested without end
        raise PlatformError(f"{name} is not a plan: {error}; {remedy}") from None
    found = data.get("format") if isinstance(data, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise PlatformError(
            f"{name} has format {found}, and this version of mlp reads up to {FORMAT}; "
            f"update the checkout, or replace the file: {remedy}"
        )
    plan = _valid(_File, data, name, remedy)
    if (plan.program, plan.stack) != (program, stack):
        raise PlatformError(
            f"{name} holds the plan of {plan.program} for {plan.stack}, not of {program} for {stack}; {remedy}"
        )
    return plan.plan(program, stack)


class _Printed(BaseModel):
    """The output of `mlp plan --json`; a later version may have more fields."""

    programs: dict[str, PlanData]


def parse_printed(content: bytes, name: str, stack: str) -> list[ProgramPlan]:
    """Return the plans in the output of `mlp plan STACK --json`. Raise PlatformError where it cannot be read."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise PlatformError(f"{name} printed no plan: {error}") from None
    printed = _valid(_Printed, data, name, "compare with another revision")
    return [plan.plan(program, stack) for program, plan in printed.programs.items()]


def _valid(model: type[_Model], data: Any, name: str, remedy: str) -> _Model:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        errors = sorted(error.errors(), key=lambda one: len(one["loc"]))  # what is wrong with the whole comes first
        faults = [_error_line(one["loc"], one["msg"], one["input"]) for one in errors]
    more = [f"  and {len(faults) - _MAX_ERRORS} more"] if len(faults) > _MAX_ERRORS else []
    lines = [f"{name} is damaged; {remedy}:", *(f"  {one}" for one in faults[:_MAX_ERRORS]), *more]
    raise PlatformError("\n".join(lines))


def _error_line(location: tuple[int | str, ...], message: str, value: Any) -> str:
    path = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in location).lstrip(".") or "the file"
    shown = json.dumps(value, default=str)
    return f"{path}: {message} (got {shown if len(shown) <= 60 else shown[:57] + '...'})"
