"""What `mlp bootstrap` shows: what became of each thing, and where its ids have to be written."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from infra.naming import PROJECT, deploy_role_name
from stacks.bootstrap.operation import Bootstrapped
from stacks.bootstrap.options import BootstrapOptions
from stacks.bootstrap.plan import IMAGES_ROLE, PREVIEW_ROLE

if TYPE_CHECKING:
    from rich.table import Table


def table(result: Bootstrapped) -> Table:
    """One row a thing."""
    from rich.table import Table

    shown = Table("", "state", box=None, pad_edge=False)
    shown.add_column("id", overflow="fold")  # to be copied: never cut
    shown.add_column("note")
    for one in result.outcomes:
        shown.add_row(one.thing, one.state, one.id, one.note)
    return shown


def as_data(options: BootstrapOptions, result: Bootstrapped) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "account": result.account.id,
        "region": result.account.region,
        "things": [asdict(one) for one in result.outcomes],
        "stack_settings": stack_settings(options, result),
        "github_variables": github_variables(options, result),
        "name_servers": list(result.zone.name_servers) if result.zone else [],
    }


def next_steps(options: BootstrapOptions, result: Bootstrapped) -> str:
    """The lines to write into the stack files and to run, and what else is to be done."""
    lines = ["", "Stack files, under `settings`:"]
    for file, settings in stack_settings(options, result).items():
        lines += [f"  {file}", *(f"    {key}: {value}" for key, value in settings.items())]
    lines += ["", "GitHub variables:"]
    for environment, variables in github_variables(options, result).items():
        where = f" --env {environment}" if environment else ""
        lines += [
            f"  gh variable set {name} --repo {options.repository_name}{where} --body {value}"
            for name, value in variables.items()
        ]
    lines += ["", *_remarks(options, result)]
    return "\n".join(lines)


def stack_settings(options: BootstrapOptions, result: Bootstrapped) -> dict[str, dict[str, str]]:
    """What to write into each stack file, dotted keys under `settings`."""
    files: dict[str, dict[str, str]] = {}
    for environment in options.environments:
        deployer = {"deploy_role_arn": _role_arn(result, deploy_role_name(environment))}
        platform = {**deployer, "cluster.preview_role": _role_arn(result, PREVIEW_ROLE)}
        if options.permissions_boundary:
            platform["permissions_boundary_arn"] = options.permissions_boundary
        if result.zone:
            platform["edge.zone_id"] = result.zone.id
        files[f"Pulumi.{environment}.yaml"] = platform
        files[f"stacks/workloads/Pulumi.{environment}.yaml"] = deployer
    return files


def github_variables(options: BootstrapOptions, result: Bootstrapped) -> dict[str, dict[str, str]]:
    """The variables of each GitHub environment; those of the whole repository under an empty name."""
    repository = {
        "AWS_REGION": result.account.region,
        "AWS_PREVIEW_ROLE_ARN": _role_arn(result, PREVIEW_ROLE),
        "AWS_IMAGES_ROLE_ARN": _role_arn(result, IMAGES_ROLE),
    }
    if options.state_bucket:
        repository["PULUMI_BACKEND_URL"] = f"s3://{options.state_bucket}"
    deployers = {
        environment: {"AWS_DEPLOY_ROLE_ARN": _role_arn(result, deploy_role_name(environment))}
        for environment in options.environments
    }
    return {"": repository, **deployers}


def _role_arn(result: Bootstrapped, name: str) -> str:
    return next(one.id for one in result.outcomes if one.thing == f"role {name}")


def _remarks(options: BootstrapOptions, result: Bootstrapped) -> list[str]:
    environments = ", ".join(options.environments)
    deploys = (
        f"Whoever runs a job in the GitHub environments {environments} has their deploy roles: give them required "
        "reviewers, and the branch main alone."
    )
    previews = (
        f"{PREVIEW_ROLE} reads Pulumi's state and the secrets named {PROJECT}/*, and so can a pull request from "
        "a branch of this repository; Helm's release secrets it reads through the cluster, once cluster.preview_role "
        "names it."
    )
    remarks = [deploys, previews]
    if not options.permissions_boundary:
        remarks.append("Without --permissions-boundary a deployer can make a role that may do more than itself.")
    if options.repository == options.repository_name:
        ids = f"gh api repos/{options.repository} --jq '\"\\(.owner.login)@\\(.owner.id)/\\(.name)@\\(.id)\"'"
        remarks.append(
            "GitHub's tokens name ids too if the repository was made or renamed since 15 July 2026; then run this "
            f'again with --repository "$({ids})".'
        )
    if result.zone:
        remarks.append(
            f"Where {result.zone.name} is registered, or in its parent's zone, set its NS records to "
            f"{', '.join(result.zone.name_servers)}; before that no certificate can be validated."
        )
    return remarks
