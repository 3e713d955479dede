"""The operations behind the commands: start, stop and inspect the platform of a home."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mlp.local.credentials import Credentials, ensure_credentials, load_credentials
from mlp.local.emulator import Apply, Emulator, apply_local_stack, emulator_environment
from mlp.local.home import Home, prepare
from mlp.local.mlflow_server import MlflowServer
from mlp.local.observe import ServiceStatus
from mlp.local.ports import parse_fixed
from mlp.local.postgres import Postgres
from mlp.local.ray_head import RayHead
from mlp.local.service import Service
from mlp.local.supervisor import Supervisor
from mlp.shared.errors import PlatformError
from mlp.shared.progress import Progress

SERVICES: tuple[type[Service], ...] = (Emulator, Postgres, MlflowServer, RayHead)
SERVICE_NAMES = [service.name for service in SERVICES]
REQUIRED_NAMES = [service.name for service in SERVICES if not service.optional]
"""Names of the services without which the platform does not run."""
EXTRAS = {"aws": Emulator.name}
"""Name of the service that each value of `mlp up --with` starts."""
PORT_NAMES = [name for service in SERVICES for name in service.port_names]


def up(
    home: Home,
    port_options: Sequence[str],
    progress: Progress,
    extras: Collection[str] = (),
    apply: Apply = apply_local_stack,
) -> list[ServiceStatus]:
    """Start the platform; return the status of its services.

    `port_options` are `SERVICE=N`; one for an optional service asks for that too. `extras` are keys of `EXTRAS`.
    Raises PlatformError for an option that cannot be and for a service that does not start.
    """
    fixed = parse_fixed(port_options, PORT_NAMES)
    unknown = [extra for extra in extras if extra not in EXTRAS]
    if unknown:
        raise PlatformError(f"--with {unknown[0]}: there is no such extra; choose from {', '.join(EXTRAS)}")
    prepare(home)
    return _supervisor(home, ensure_credentials(home), progress, apply).up(
        fixed, {*(EXTRAS[extra] for extra in extras), *fixed}
    )


def down(home: Home, progress: Progress) -> list[str]:
    """Stop the platform and keep its data; return the names of the services that ran."""
    return _supervisor(home, _credentials_if_any(home), progress).down()


def status(home: Home, progress: Progress) -> list[ServiceStatus]:
    """Return the status of each service, as its processes answer."""
    return _supervisor(home, _credentials_if_any(home), progress).status()


def _supervisor(
    home: Home, credentials: Credentials, progress: Progress, apply: Apply = apply_local_stack
) -> Supervisor:
    services = [
        Emulator(home, apply, emulator_environment),
        Postgres(home, credentials),
        MlflowServer(home, credentials),
        RayHead(home, credentials),
    ]
    return Supervisor(home, services, progress)


def _credentials_if_any(home: Home) -> Credentials:
    """Return the credentials of the home; without any, new ones, which suffice to inspect and to stop."""
    try:
        return load_credentials(home)
    except PlatformError:
        return Credentials()
