"""The steps that set up an AWS account for the platform, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from mlp.account.costs import ensure_anomaly_alerts, ensure_cost_tags
from mlp.account.identity import ensure_github_provider, ensure_role
from mlp.account.options import BootstrapOptions
from mlp.account.plan import Account, Outcome, PulumiState, planned_roles
from mlp.account.state import ensure_secrets_key, ensure_state_bucket
from mlp.account.zone import Zone, ensure_zone
from mlp.shared.aws_session import AwsError, Change, Clients, change, explain_refusal, skip_change
from mlp.shared.errors import PlatformError
from mlp.shared.progress import Progress, during


@dataclass(frozen=True, kw_only=True)
class Bootstrapped:
    """What an account holds after a run; after a `dry_run`, what it would hold."""

    account: Account
    outcomes: tuple[Outcome, ...]
    state: PulumiState
    zone: Zone | None
    dry_run: bool


def identify(clients: Clients, region: str) -> Account:
    """Return the account of the credentials. Raise PlatformError when they are not valid."""
    try:
        caller = clients("sts").get_caller_identity()
    except AwsError as error:
        raise PlatformError(f"nothing was done: {explain_refusal(error)}") from error
    return Account(partition=caller["Arn"].split(":")[1], id=caller["Account"], region=region)


def bootstrap(
    options: BootstrapOptions, clients: Clients, progress: Progress, *, dry_run: bool = False
) -> Bootstrapped:
    """Create or update what `options` ask for; what exists already is kept, and nothing is deleted.

    A `dry_run` looks at everything and changes nothing. Raises PlatformError at the first refusal, with what had been
    done: a second run goes on from there. Costs come last, so that an account whose bills are another's gets all the
    rest.
    """
    with during(progress, "AWS account"):
        account = identify(clients, options.region)
    options.check_account(account.id)
    run = _Run(options=options, clients=clients, account=account, change=skip_change if dry_run else change)
    done: list[Outcome] = []
    for service, what, step in run.steps():
        try:
            with during(progress, what):
                done.extend(step())
        except AwsError as error:
            raise PlatformError(_stopped(explain_refusal(error, service), done, dry_run)) from error
        except PlatformError as error:
            raise PlatformError(_stopped(str(error), done, dry_run)) from error
    return Bootstrapped(account=account, outcomes=tuple(done), state=run.state, zone=run.zone, dry_run=dry_run)


@dataclass(kw_only=True)
class _Run:
    """The steps of one run, and what later ones take from earlier ones."""

    options: BootstrapOptions
    clients: Clients
    account: Account
    change: Change
    state: PulumiState = field(default_factory=PulumiState)
    zone: Zone | None = None

    def steps(self) -> list[tuple[str, str, Callable[[], Iterator[Outcome]]]]:
        """Return of each step the service that may refuse it, a description of the result, and the function."""
        return [
            ("s3", "state bucket", self._state_bucket),
            ("kms", "secrets key", self._secrets_key),
            ("iam", "GitHub login provider", self._github),
            ("iam", "roles", self._roles),
            ("route53", "zone", self._zone),
            ("ce", "costs", self._costs),
        ]

    def _state_bucket(self) -> Iterator[Outcome]:
        if self.options.pulumi_cloud:
            return
        made = ensure_state_bucket(self.clients("s3"), self.options.state_bucket, self.account, self.change)
        self.state = replace(self.state, bucket=made.outcome.id, region=made.region)
        yield made.outcome

    def _secrets_key(self) -> Iterator[Outcome]:
        arn = self.options.secrets_key_arn
        if arn is None and not self.options.pulumi_cloud:
            outcome = ensure_secrets_key(self.clients("kms"), self.account, self.change)
            arn = outcome.id
            yield outcome
        self.state = replace(self.state, secrets_key_arn=arn)

    def _github(self) -> Iterator[Outcome]:
        yield ensure_github_provider(self.clients("iam"), self.account, self.change)

    def _roles(self) -> Iterator[Outcome]:
        iam = self.clients("iam")
        for plan in planned_roles(self.options, self.account, self.state):
            yield ensure_role(iam, plan, self.change)

    def _zone(self) -> Iterator[Outcome]:
        if self.options.zone:
            self.zone = ensure_zone(self.clients("route53"), self.options.zone, self.change)
            yield self.zone.outcome

    def _costs(self) -> Iterator[Outcome]:
        ce = self.clients("ce")
        yield from ensure_anomaly_alerts(ce, self.options.emails, self.options.anomaly_usd, self.change)
        yield from ensure_cost_tags(ce, self.change)


def _stopped(why: str, done: list[Outcome], dry_run: bool) -> str:
    if dry_run:
        return f"{why}\n  Nothing was changed: this was a dry run."
    so_far = ", ".join(f"{one.thing} {one.state}" for one in done) or "nothing"
    return f"{why}\n  Done before that: {so_far}. Nothing has to be undone: running this again goes on from there."
