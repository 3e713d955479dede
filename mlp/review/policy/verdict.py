"""The platform's rules applied to planned environments, and the verdict for people, programs and pull requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlp.engine.deployment import Deployment, Resource
from mlp.engine.values import Secret, revealed, shown
from mlp.review.report import Section, escaped, table
from mlp.shared.errors import PlatformError
from policies.rules import RULES, Context, Level, PlannedResource
from policies.rules.exemptions import FILE, Exemption, ExemptionsError, load
from policies.rules.judging import Judgement, judge
from policies.rules.model import STACK, Violation
from policies.rules.tags import default_tags

if TYPE_CHECKING:
    from rich.console import RenderableType

FORMAT = 1
"""Version of the data that `Verdict.as_data` returns."""
_SHORTEST_SECRET = 10  # characters; a shorter one stands in other text by chance
_STYLES: Mapping[str, str] = {Level.MANDATORY: "red", Level.ADVISORY: "yellow"}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The result of the rules for an environment."""

    environment: str
    resources: int
    judgement: Judgement

    @property
    def broken(self) -> bool:
        """Return whether a mandatory rule is broken."""
        return bool(self.judgement.violations)

    @property
    def summary(self) -> str:
        """Return the counts in one line."""
        found = self.judgement
        return f"{self.environment}: " + ", ".join(
            (
                _count(len(RULES), "rule"),
                _count(self.resources, "resource"),
                _count(len(found.violations), "violation"),
                _count(len(found.advisories), "advisory", "advisories"),
                _count(len(found.exempted), "exemption"),
            )
        )

    def lines(self) -> Iterator[str]:
        """Yield each finding in one line, violations first, then the counts."""
        for one in (*self.judgement.violations, *self.judgement.advisories):
            yield f"{one.level} {one.rule}: {one.message}"
        for each in self.judgement.exempted:
            yield f"exempted {each.violation.rule}: {each.violation.message} (until {each.exemption.until})"
        yield self.summary

    def as_data(self) -> dict[str, Any]:
        """Return the verdict in plain values."""
        found = self.judgement
        return {
            "format": FORMAT,
            "stack": self.environment,
            "counts": {
                "rules": len(RULES),
                "resources": self.resources,
                "violations": len(found.violations),
                "advisories": len(found.advisories),
                "exempted": len(found.exempted),
            },
            "violations": [_as_data(one) for one in found.violations],
            "advisories": [_as_data(one) for one in found.advisories],
            "exempted": [
                {
                    **_as_data(one.violation),
                    "reason": one.exemption.reason,
                    "until": one.exemption.until.isoformat(),
                }
                for one in found.exempted
            ],
        }

    def section(self) -> Section:
        """Return the verdict as a section of a change's report, unfolded if it has violations."""
        found = self.judgement
        body: tuple[str, ...] = ()
        findings = (*found.violations, *found.advisories)
        if findings:
            rows = [(one.level, one.rule, _cell(one.message)) for one in findings]
            body += table(("level", "rule", "finding"), rows)
        if found.exempted:
            body += table(
                ("rule", "finding", "exempted"),
                [
                    (one.violation.rule, _cell(one.violation.message), _cell(_exemption_text(one.exemption)))
                    for one in found.exempted
                ],
            )
        rendered = self._findings() if body else None
        return Section(title="Policy", summary=self.summary, body=body, rendered=rendered, unfolded=self.broken)

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        return Group(Text(self.summary), self._findings())

    def _findings(self) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        found = self.judgement
        grid = Table(box=None, show_header=False)
        for no_wrap in (True, True, False):
            grid.add_column(no_wrap=no_wrap)
        rows: list[tuple[str, str, str]] = [
            (one.level, one.rule, one.message) for one in (*found.violations, *found.advisories)
        ]
        rows += [
            ("exempted", each.violation.rule, f"{each.violation.message} ({_exemption_text(each.exemption)})")
            for each in found.exempted
        ]
        for level, rule, message in rows:
            # Text, since brackets in a message are no markup.
            grid.add_row(Text(level, style=_STYLES.get(level, "dim")), rule, Text(message))
        return grid


def verdict(
    deployments: Sequence[Deployment], context: Context, exemptions: Sequence[Exemption] | None = None
) -> Verdict:
    """Apply the rules to what the programs created; `exemptions` are the committed ones by default.

    `context` holds the environment, the day and the price; the secrets are read from the deployments. Raise
    PlatformError for an invalid file of exemptions.
    """
    context = replace(context, secret_values=secret_values(deployments))
    plans = [as_planned(one) for one in deployments]
    return Verdict(
        environment=context.environment,
        resources=sum(len(one.resources) for one in deployments),
        judgement=judge(RULES, plans, context, committed_exemptions() if exemptions is None else exemptions),
    )


def context_of(deployments: Sequence[Deployment], *, today: date, monthly_usd: float | None = None) -> Context:
    """Return the context of an environment's programs."""
    return Context(environment=deployments[0].stack, today=today, monthly_usd=monthly_usd)


def committed_exemptions(path: Path = FILE) -> tuple[Exemption, ...]:
    """Return the exemptions of this repository. Raise PlatformError with every error of their file."""
    try:
        return load({rule.name for rule in RULES}, path)
    except ExemptionsError as error:
        raise PlatformError(str(error)) from None


def as_planned(deployment: Deployment) -> list[PlannedResource]:
    """Return a program's resources as the rules see them; its outputs are properties of the stack, as in Pulumi."""
    stack, project = deployment.stack, deployment.project
    outputs = PlannedResource(
        urn=f"urn:pulumi:{stack}::{project}::{STACK}::{project}-{stack}",
        type=STACK,
        name=f"{project}-{stack}",
        properties=shown(deployment.outputs),
    )
    return [*(_as_planned(one, deployment) for one in deployment.resources.values()), outputs]


def _as_planned(resource: Resource, deployment: Deployment) -> PlannedResource:
    wanted = resource.wanted
    provider = deployment.resources.get(wanted.provider or "")
    return PlannedResource(
        urn=wanted.urn,
        type=wanted.type,
        name=wanted.name,
        # A component's inputs go nowhere but to its children.
        properties=shown(wanted.inputs) if wanted.custom else {},
        dependencies=wanted.dependencies,
        protect=wanted.protect,
        default_tags=default_tags(revealed(provider.wanted.inputs)) if provider else {},
    )


def secret_values(deployments: Sequence[Deployment]) -> frozenset[str]:
    """Return every text that is marked secret in some input or output."""
    found: set[str] = set()
    for deployment in deployments:
        todo: list[Any] = [dict(deployment.outputs)]
        for one in deployment.resources.values():
            todo += [dict(one.wanted.inputs), dict(one.created.outputs) if one.created else {}]
        while todo:
            value = todo.pop()
            if isinstance(value, Secret):
                inner = revealed(value)
                if isinstance(inner, str) and len(inner) >= _SHORTEST_SECRET:
                    found.add(inner)
            elif isinstance(value, dict):
                todo += value.values()
            elif isinstance(value, list | tuple):
                todo += value
    return frozenset(found)


def _as_data(violation: Violation) -> dict[str, str]:
    return {
        "rule": violation.rule,
        "level": str(violation.level),
        "urn": violation.urn,
        "resource": violation.urn.rpartition("::")[2],
        "message": violation.message,
    }


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or f'{one}s'}"


def _exemption_text(exemption: Exemption) -> str:
    return f"until {exemption.until}: {exemption.reason}"


def _cell(text: str) -> str:
    """Return `text` escaped for a cell of a Markdown table."""
    return escaped(" ".join(text.split())).replace("|", "&#124;")
