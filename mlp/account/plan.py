"""The account's planned state: names, trust and rights, computed without asking AWS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from infra.identity.deploy_access import deploy_access, image_push_access, preview_access
from infra.identity.iam import Allow, deployer_trust, github_trust, plain_policy_document
from infra.naming import PROJECT, deploy_role_name
from infra.tags import COST_TAG
from mlp.account.options import BootstrapOptions

GITHUB_ISSUER = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"
PREVIEW_ROLE = f"{PROJECT}-preview"
IMAGES_ROLE = f"{PROJECT}-images"
POLICY_NAME = "access"
COST_TAGS = ("Project", "Environment", COST_TAG)
OWN_TAGS = {"Project": PROJECT, "ManagedBy": "mlp-bootstrap"}
DEPLOY_SESSION_S = 2 * 3600
"""Seconds of a deployment's session. A new environment takes half an hour; new nodes after an upgrade of Kubernetes
and a change of a Multi-AZ database can take an hour each."""
DEFAULT_SESSION_S = 3600


OutcomeState = Literal["created", "updated", "kept", "waiting"]


@dataclass(frozen=True, kw_only=True)
class Account:
    """An AWS account, and the region that the platform uses in it."""

    partition: str
    id: str
    region: str

    def iam_arn(self, resource: str) -> str:
        """Return the ARN of an IAM resource."""
        return f"arn:{self.partition}:iam::{self.id}:{resource}"

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in the account's region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.id}:{resource}"

    @property
    def default_state_bucket(self) -> str:
        """Return the name of the bucket that is made for Pulumi's state. No stack's buckets have such names."""
        return f"mlp-state-{self.id}-{self.region}"

    @property
    def github_provider_arn(self) -> str:
        """Return the ARN of GitHub's OIDC provider, which AWS derives from the issuer's host."""
        return self.iam_arn(f"oidc-provider/{GITHUB_ISSUER}")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Result of a step: `state` says what was done to `thing`; `waiting` is no fault, and `note` says for what."""

    thing: str
    id: str
    state: OutcomeState
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class PulumiState:
    """The bucket of Pulumi's state, its region, and the key of its secrets; none where Pulumi Cloud keeps them."""

    bucket: str | None = None
    region: str = ""
    secrets_key_arn: str | None = None

    @property
    def backend_url(self) -> str | None:
        """Return what `pulumi login` takes (https://www.pulumi.com/docs/iac/concepts/state-and-backends/)."""
        return f"s3://{self.bucket}?region={self.region}" if self.bucket else None

    @property
    def secrets_provider(self) -> str | None:
        """Return what `pulumi stack init --secrets-provider` takes: a key by id and region
        (https://www.pulumi.com/docs/iac/cli/commands/pulumi_stack_change-secrets-provider/).
        """
        if self.secrets_key_arn is None:
            return None
        _, _, _, region, _, key = self.secrets_key_arn.split(":")
        return f"awskms://{key.removeprefix('key/')}?region={region}"


@dataclass(frozen=True, kw_only=True)
class RolePlan:
    """A role that GitHub's workflows assume. `trust` and `policy` are IAM documents."""

    name: str
    arn: str
    description: str
    trust: str
    policy: str
    max_session_s: int
    permissions_boundary: str | None


def planned_roles(options: BootstrapOptions, account: Account, state: PulumiState) -> tuple[RolePlan, ...]:
    """Return a role for each environment's deployments, one for previews of pull requests, one that pushes images."""
    repository = f"repo:{options.repository}"
    in_environment = {environment: f"{repository}:environment:{environment}" for environment in options.environments}
    place = {"partition": account.partition, "account": account.id, "region": account.region}
    bucket, key, boundary = state.bucket, state.secrets_key_arn, options.permissions_boundary

    def role(name: str, does: str, trust: str, allow: tuple[Allow, ...], session_s: int) -> RolePlan:
        return RolePlan(
            name=name,
            arn=account.iam_arn(f"role/{name}"),
            description=f"{does} of {options.repository_name}",
            trust=trust,
            policy=plain_policy_document(allow),
            max_session_s=session_s,
            permissions_boundary=boundary,
        )

    deployers = [
        role(
            deploy_role_name(environment),
            f"Deploys the {environment} stacks",
            deployer_trust(
                provider_arn=account.github_provider_arn,
                subject=subject,
                account_root=account.iam_arn("root"),
                principals=(account.iam_arn(f"role/{deploy_role_name(environment)}"), *options.deployers),
            ),
            deploy_access(
                **place,
                environment=environment,
                state_bucket=bucket,
                secrets_key_arn=key,
                permissions_boundary=boundary,
            ),
            DEPLOY_SESSION_S,
        )
        for environment, subject in in_environment.items()
    ]
    preview = preview_access(**place, state_bucket=bucket, secrets_key_arn=key)
    previews = github_trust(provider_arn=account.github_provider_arn, subjects=(f"{repository}:pull_request",))
    pushes = github_trust(
        provider_arn=account.github_provider_arn,
        subjects=(f"{repository}:ref:refs/heads/main", *in_environment.values()),
    )
    return (
        *deployers,
        role(PREVIEW_ROLE, "Previews pull requests", previews, preview, DEFAULT_SESSION_S),
        role(IMAGES_ROLE, "Pushes images", pushes, image_push_access(**place), DEFAULT_SESSION_S),
    )
