"""`mlp`: plan and check the platform without an account, and run it on this machine."""

from __future__ import annotations

import gc
import sys

import typer

from mlp.commands import bootstrap as bootstrap_commands
from mlp.commands import capacity as capacity_commands
from mlp.commands import charts as charts_commands
from mlp.commands import cost as cost_commands
from mlp.commands import local as local_commands
from mlp.commands import plan as offline_commands
from mlp.commands import policy as policy_commands
from mlp.commands import recover as recover_commands
from mlp.shared.checkout import find_checkout
from mlp.shared.errors import PlatformError


def _check_checkout() -> None:
    find_checkout()


app = typer.Typer(
    name="mlp",
    help=__doc__,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    callback=_check_checkout,
)
offline_commands.register(app)
cost_commands.register(app)
capacity_commands.register(app)
policy_commands.register(app)
local_commands.register(app)
bootstrap_commands.register(app)
charts_commands.register(app)
recover_commands.register(app)


def main() -> None:
    """Run `mlp`; an error that the user can fix is one clear message on stderr and exit code 1."""
    # Each collection walks all of the SDKs' types, a second in a plan, and a command ends soon.
    gc.disable()
    try:
        app()
    except PlatformError as error:
        typer.echo(f"mlp: {error}", err=True)
        sys.exit(1)
    except OSError as error:  # a full or read-only disk, a folder that may not be written
        if error.strerror is None:
            raise
        place = f" ({error.filename})" if error.filename else ""
        typer.echo(f"mlp: {error.strerror}{place}; fix that and run the command again", err=True)
        sys.exit(1)
    finally:
        gc.freeze()  # else the interpreter collects as it ends, whatever was said above


if __name__ == "__main__":
    main()
