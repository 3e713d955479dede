"""Options of `mlp bootstrap`, checked offline."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from infra.naming import ENVIRONMENT_PATTERN, bucket_prefix
from mlp.shared.errors import PlatformError

REPOSITORY = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9_-]{0,38}(?P<owner_id>@\d+)?/(?!\.{1,2}(@|$))[A-Za-z0-9._-]{1,100}(?(owner_id)@\d+)"
)
ENVIRONMENT = re.compile(ENVIRONMENT_PATTERN)
REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
EMAIL = re.compile(r"[^@\s]{1,64}@([A-Za-z0-9-]+\.)+[A-Za-z]{2,}")
ZONE = re.compile(r"(?=.{3,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])")
BUCKET = re.compile(r"(?!.*\.\.)(?!(\d+\.){3}\d+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
KEY_ARN = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:(?P<account>\d{12}):key/[A-Za-z0-9-]+")
RUNNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
DEPLOYER_ARN = re.compile(r"arn:aws[a-z-]*:iam::(?P<account>\d{12}):(role|user)/[\w+=,.@/-]+")
BOUNDARY_ARN = re.compile(r"arn:aws[a-z-]*:iam::(?P<account>\d{12}|aws):policy/[\w+=,.@/-]+")


@dataclass(frozen=True, kw_only=True)
class BootstrapOptions:
    """Options of one run of `mlp bootstrap`. Raises PlatformError that names every malformed one at once.

    `repository` is OWNER/NAME as GitHub spells it, or OWNER@ID/NAME@ID where GitHub's tokens name the ids too, as they
    do for every repository made or renamed since 15 July 2026
    (https://docs.github.com/en/actions/reference/security/oidc).
    """

    repository: str
    environments: tuple[str, ...]
    region: str
    emails: tuple[str, ...] = ()
    anomaly_usd: float = 50
    """Unusual spending, in USD in all, from which on an email is sent."""
    zone: str | None = None
    state_bucket: str | None = None
    secrets_key_arn: str | None = None
    permissions_boundary: str | None = None
    deployers: tuple[str, ...] = ()
    """ARNs of roles and users that may deploy beside GitHub."""
    pulumi_cloud: bool = False
    """Whether Pulumi Cloud keeps state and secrets: then there is no bucket, and no key but a given one."""
    deploy_runner: str = "ubuntu-24.04"
    """The label of the runners that reach the clusters; the default is GitHub's own."""

    def __post_init__(self) -> None:
        faults = [*self._malformed(), *self._overlapping_names()]
        if faults:
            count = "1 option is" if len(faults) == 1 else f"{len(faults)} options are"
            raise PlatformError("\n  ".join([f"nothing was done; {count} to be corrected:", *faults]))

    @property
    def repository_name(self) -> str:
        """Return OWNER/NAME without ids."""
        return re.sub(r"@\d+", "", self.repository)

    def check_account(self, account: str) -> None:
        """Raise PlatformError unless what the options name by ARN lies in `account`."""
        arns = (
            ("--secrets-key", KEY_ARN, self.secrets_key_arn),
            ("--permissions-boundary", BOUNDARY_ARN, self.permissions_boundary),
            *(("--deployer", DEPLOYER_ARN, one) for one in self.deployers),
        )
        foreign = [
            f"{option} {arn} lies in account {found['account']}"
            for option, pattern, arn in arns
            if arn and (found := pattern.fullmatch(arn)) and found["account"] not in {account, "aws"}
        ]
        if foreign:
            raise PlatformError(
                f"nothing was done: your credentials are of account {account}, but {' and '.join(foreign)}; "
                "take other credentials (AWS_PROFILE) or correct the option"
            )

    def _malformed(self) -> list[str]:
        arn = "an ARN such as arn:aws"
        wanted = [
            ("--repository", REPOSITORY, (self.repository,), "OWNER/NAME, or OWNER@ID/NAME@ID"),
            ("--environment", ENVIRONMENT, self.environments, "2 to 12 of a-z 0-9 -, a letter first"),
            ("--region", REGION, (self.region,), "a region such as us-east-1"),
            ("--email", EMAIL, self.emails, "an address such as you@example.org"),
            ("--zone", ZONE, (self.zone,), "a domain such as ml.example.org, lower case, no dot at the end"),
            ("--state-bucket", BUCKET, (self.state_bucket,), "a bucket's name: 3 to 63 of a-z 0-9 . -"),
            ("--secrets-key", KEY_ARN, (self.secrets_key_arn,), f"{arn}:kms:REGION:ACCOUNT:key/ID (no alias)"),
            ("--permissions-boundary", BOUNDARY_ARN, (self.permissions_boundary,), f"{arn}:iam::ACCOUNT:policy/NAME"),
            ("--deployer", DEPLOYER_ARN, self.deployers, f"{arn}:iam::ACCOUNT:role/NAME"),
            ("--deploy-runner", RUNNER, (self.deploy_runner,), "a runner's label: A-Z a-z 0-9 _ . -"),
        ]
        faults = [
            f"{option} {value!r}: must be {form}"
            for option, pattern, values, form in wanted
            for value in values
            if value is not None and not pattern.fullmatch(value)
        ]
        if not self.environments:
            faults.append("--environment: at least one is needed")
        if not 0 < self.anomaly_usd < float("inf"):
            faults.append(f"--anomaly-usd {self.anomaly_usd:g}: must be above 0")
        if self.pulumi_cloud and self.state_bucket:
            faults.append(f"--state-bucket {self.state_bucket!r}: with --pulumi-cloud no bucket holds the state")
        return faults

    def _overlapping_names(self) -> list[str]:
        """Return faults of names that would let one environment's deployer reach what is another's."""
        faults = [
            f"--environment {other!r}: begins with {one}-, as names of {one} do; choose another name"
            for one, other in itertools.permutations(self.environments, 2)
            if other.startswith(f"{one}-")
        ]
        faults += [
            f"--environment {one!r}: given twice" for one in set(self.environments) if self.environments.count(one) > 1
        ]
        faults += [
            f"--state-bucket {self.state_bucket!r}: begins with {bucket_prefix(one)}, as buckets of {one} do; "
            "its deployer could delete it; use a bucket with another name"
            for one in self.environments
            if self.state_bucket and self.state_bucket.startswith(bucket_prefix(one))
        ]
        return faults
