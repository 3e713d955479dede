"""`mlp bootstrap`: set up an AWS account once, before any stack."""

from __future__ import annotations

from typing import Annotated

import typer

from mlp.shared.console import show, write_json


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("bootstrap")(bootstrap)


def bootstrap(
    repository: Annotated[
        str, typer.Option(metavar="OWNER/NAME", help="The GitHub repository; OWNER@ID/NAME@ID if its tokens name ids.")
    ],
    environment: Annotated[
        list[str] | None,
        typer.Option(metavar="ENV", help="A stack to deploy (again for another).  [default: dev, prod]"),
    ] = None,
    region: Annotated[str, typer.Option(help="The platform's AWS region.")] = "us-east-1",
    email: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS", help="Who hears of unusual costs (again for another).")
    ] = None,
    anomaly_usd: Annotated[float, typer.Option(metavar="USD", help="From which unusual amount on.")] = 50,
    zone: Annotated[str | None, typer.Option(metavar="DOMAIN", help="A public DNS zone to have.")] = None,
    state_bucket: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The bucket of Pulumi's state.  [default: mlp-state-ACCOUNT-REGION]"),
    ] = None,
    secrets_key: Annotated[
        str | None,
        typer.Option(
            metavar="ARN", help="A KMS key that you have, for the secrets in the state.  [default: a new one]"
        ),
    ] = None,
    pulumi_cloud: Annotated[
        bool, typer.Option("--pulumi-cloud", help="Pulumi Cloud keeps state and secrets: make no bucket and no key.")
    ] = False,
    permissions_boundary: Annotated[
        str | None, typer.Option(metavar="ARN", help="The policy that bounds all roles made here and by the stacks.")
    ] = None,
    deployer: Annotated[
        list[str] | None,
        typer.Option(metavar="ARN", help="A role or user of the account that may deploy too (again for another)."),
    ] = None,
    deploy_runner: Annotated[
        str, typer.Option(metavar="LABEL", help="The GitHub runners that reach the clusters.")
    ] = "ubuntu-24.04",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be made and changed, and change nothing.")
    ] = False,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON; `-` is stdout.")
    ] = None,
) -> None:
    """Prepare an AWS account; safe to repeat, deletes nothing.

    Works with your own credentials, and makes a bucket and a key for Pulumi's state, GitHub's login provider, a deploy
    role for each environment, a read-only role for previews, one that pushes images, a monitor of unusual costs,
    cost-allocation tags and, if asked, a DNS zone. Prints what to run next.
    """
    from mlp.account import operation, report
    from mlp.account.options import BootstrapOptions
    from mlp.shared.aws_session import UserClients
    from mlp.shared.progress import progress

    options = BootstrapOptions(
        repository=repository,
        environments=tuple(environment or ("dev", "prod")),
        region=region,
        emails=tuple(dict.fromkeys(email or [])),
        anomaly_usd=anomaly_usd,
        zone=zone,
        state_bucket=state_bucket,
        secrets_key_arn=secrets_key,
        permissions_boundary=permissions_boundary,
        deployers=tuple(deployer or ()),
        pulumi_cloud=pulumi_cloud,
        deploy_runner=deploy_runner,
    )
    result = operation.bootstrap(options, UserClients(region), progress(), dry_run=dry_run)
    if json_file is not None:
        write_json(json_file, report.as_data(options, result))
        return
    show(report.table(result))
    typer.echo(report.next_steps(options, result))
