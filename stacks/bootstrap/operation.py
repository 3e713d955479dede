"""Bring an AWS account to what the platform needs of it, one thing after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stacks.bootstrap.costs import ensure_anomaly_alerts, ensure_cost_tags
from stacks.bootstrap.identity import ensure_github_provider, ensure_role
from stacks.bootstrap.options import BootstrapOptions
from stacks.bootstrap.plan import Account, Outcome, planned_roles
from stacks.bootstrap.session import AwsError, Clients, identify, told_clearly
from stacks.bootstrap.zone import Zone, ensure_zone
from stacks.errors import PlatformError
from stacks.local.progress import Progress, during


@dataclass(frozen=True, kw_only=True)
class Bootstrapped:
    """What an account holds after a run."""

    account: Account
    outcomes: tuple[Outcome, ...]
    zone: Zone | None


def bootstrap(options: BootstrapOptions, clients: Clients, told: Progress) -> Bootstrapped:
    """Make or mend what `options` ask for; what is there already is kept, and nothing is deleted.

    Raises PlatformError at the first refusal, with what had been done: a second run goes on from there. Costs come
    last, so that an account whose bills are another's gets all the rest.
    """
    with during(told, "AWS account"):
        account = identify(clients, options.region)
    options.check_account(account.id)
    done: list[Outcome] = []
    zones: list[Zone] = []

    def zone() -> Iterator[Outcome]:
        if options.zone:
            zones.append(ensure_zone(clients("route53"), options.zone))
            yield zones[0].outcome

    def roles() -> Iterator[Outcome]:
        iam = clients("iam")
        return (ensure_role(iam, plan) for plan in planned_roles(options, account))

    def costs() -> Iterator[Outcome]:
        yield from ensure_anomaly_alerts(clients("ce"), options.emails, options.anomaly_usd)
        yield from ensure_cost_tags(clients("ce"))

    steps: list[tuple[str, str, Callable[[], Iterator[Outcome]]]] = [
        ("iam", "GitHub login provider", lambda: iter([ensure_github_provider(clients("iam"), account)])),
        ("iam", "roles", roles),
        ("route53", "zone", zone),
        ("ce", "costs", costs),
    ]
    for service, what, step in steps:
        try:
            with during(told, what):
                done.extend(step())
        except AwsError as error:
            raise PlatformError(_stopped(told_clearly(error, service), done)) from error
        except PlatformError as error:
            raise PlatformError(_stopped(str(error), done)) from error
    return Bootstrapped(account=account, outcomes=tuple(done), zone=zones[0] if zones else None)


def _stopped(why: str, done: list[Outcome]) -> str:
    so_far = ", ".join(f"{one.thing} {one.state}" for one in done) or "nothing"
    return f"{why}\n  Done before that: {so_far}. Nothing has to be undone: running this again goes on from there."
