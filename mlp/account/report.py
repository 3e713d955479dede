"""Output of `mlp bootstrap`: the outcome of each thing, and where its ids have to be written."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from textwrap import indent
from typing import TYPE_CHECKING, Any

import yaml

from infra.naming import deploy_role_name
from mlp.account.operation import Bootstrapped
from mlp.account.options import BootstrapOptions
from mlp.account.plan import PREVIEW_ROLE, Outcome

if TYPE_CHECKING:
    from rich.table import Table


_WOULD = {"created": "would be created", "updated": "would be updated"}


def table(result: Bootstrapped) -> Table:
    """Return a table with one row a thing."""
    from rich.table import Table

    shown = Table("", "state", box=None, pad_edge=False)
    shown.add_column("id", overflow="fold")  # to be copied: never cut
    shown.add_column("note")
    for one in result.outcomes:
        shown.add_row(one.thing, _state(one, result), one.id, one.note)
    return shown


def as_data(options: BootstrapOptions, result: Bootstrapped) -> dict[str, Any]:
    """Return the result as plain values; a dry run has nothing to write anywhere."""
    data = {
        "account": result.account.id,
        "region": result.account.region,
        "dry_run": result.dry_run,
        "things": [{**asdict(one), "state": _state(one, result)} for one in result.outcomes],
    }
    if result.dry_run:
        return data
    return data | {
        "backend_url": result.state.backend_url,
        "secrets_provider": result.state.secrets_provider,
        "stack_settings": stack_settings(options, result),
        "github_variables": github_variables(options, result),
        "name_servers": list(result.zone.name_servers) if result.zone else [],
    }


def next_steps(options: BootstrapOptions, result: Bootstrapped) -> str:
    """Return the lines to write into the stack files and to run, and what else is to be done."""
    if result.dry_run:
        return "\nThis was a dry run: nothing was changed."
    lines = ["", "Stack files, merged into what is under `settings`:"]
    for file, settings in stack_settings(options, result).items():
        lines += [f"  {file}", *indent(yaml.safe_dump(settings, width=1000).rstrip(), "    ").splitlines()]
    lines += ["", "GitHub variables:"]
    for environment, variables in github_variables(options, result).items():
        where = f" --env {environment}" if environment else ""
        lines += [
            f"  gh variable set {name} --repo {options.repository_name}{where} --body {shlex.quote(value)}"
            for name, value in variables.items()
        ]
    lines += [
        "",
        "Pulumi, once a machine and once a stack:",
        *(f"  {line}" for line in pulumi_commands(options, result)),
    ]
    lines += ["", *_remarks(options, result)]
    return "\n".join(lines)


def stack_settings(options: BootstrapOptions, result: Bootstrapped) -> dict[str, dict[str, Any]]:
    """Return what to merge into the `settings` of each stack file, by the file's name."""
    files: dict[str, dict[str, Any]] = {}
    for environment in options.environments:
        deployer = {"deploy_role_arn": _role_arn(result, deploy_role_name(environment))}
        platform: dict[str, Any] = {**deployer, "cluster": {"preview_role": _role_arn(result, PREVIEW_ROLE)}}
        if options.permissions_boundary:
            platform["permissions_boundary_arn"] = options.permissions_boundary
        if result.zone:
            platform["edge"] = {"zone_id": result.zone.id}
        files[f"Pulumi.{environment}.yaml"] = platform
        files[f"stacks/workloads/Pulumi.{environment}.yaml"] = deployer
    return files


def github_variables(options: BootstrapOptions, result: Bootstrapped) -> dict[str, dict[str, str]]:
    """Return the variables of each GitHub environment; those of the whole repository under an empty name."""
    repository = {
        "AWS_REGION": result.account.region,
        "DEPLOY_RUNNER": options.deploy_runner,
        "PREVIEW_ROLE_ARN": _role_arn(result, PREVIEW_ROLE),
    }
    if result.state.backend_url:
        repository["PULUMI_BACKEND_URL"] = result.state.backend_url
    deployers = {
        environment: {"DEPLOY_ROLE_ARN": _role_arn(result, deploy_role_name(environment))}
        for environment in options.environments
    }
    return {"": repository, **deployers}


def pulumi_commands(options: BootstrapOptions, result: Bootstrapped) -> list[str]:
    """Return the commands by which Pulumi keeps the stacks of both programs where this run put their state."""
    backend, provider = result.state.backend_url, result.state.secrets_provider
    secrets = f" --secrets-provider {shlex.quote(provider)}" if provider else ""
    return [
        f"pulumi login {shlex.quote(backend)}" if backend else "pulumi login",
        *(
            f"pulumi stack init {environment}{folder}{secrets}"
            for environment in options.environments
            for folder in ("", " --cwd stacks/workloads")
        ),
    ]


def _state(one: Outcome, result: Bootstrapped) -> str:
    return _WOULD.get(one.state, one.state) if result.dry_run else one.state


def _role_arn(result: Bootstrapped, name: str) -> str:
    return next(one.id for one in result.outcomes if one.thing == f"role {name}")


def _remarks(options: BootstrapOptions, result: Bootstrapped) -> list[str]:
    environments = ", ".join(options.environments)
    deploys = (
        f"Whoever runs a job in the GitHub environments {environments} has their deploy roles: give them required "
        "reviewers, and the branch main alone."
    )
    previews = (
        f"{PREVIEW_ROLE} reads Pulumi's state and the secrets in it, and so can a pull request from a branch of this "
        "repository; Helm's release secrets it reads through the cluster, once cluster.preview_role "
        "names it."
    )
    remarks = [deploys, previews]
    if result.state.secrets_provider:
        remarks.append(
            "`pulumi stack init` writes secretsprovider and encryptedkey into the stack files: commit them, or nobody "
            "else can open the stacks' secrets."
        )
    if not options.deployers:
        remarks.append(
            "Without --deployer nobody but GitHub's jobs may become a deploy role, which the stack files now name: to "
            "run `pulumi up` by hand, run this again with the ARN of the role or user that you are."
        )
    if options.deploy_runner.startswith("ubuntu-"):
        remarks.append(
            f"{options.deploy_runner} is GitHub's own runner: it reaches a cluster only where "
            "cluster.public_access_cidrs lets everyone in. For a closed one, have a runner in its network and give its "
            "label as --deploy-runner."
        )
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
