"""The platform's passwords on this machine: generated once, kept in a file that this user alone may read."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field, fields

from infra.servers.mlflow import ADMIN
from mlp.local.home import Home, read_json
from mlp.shared.errors import PlatformError
from mlp.shared.files import write_private


def _generated() -> str:
    return secrets.token_hex(24)  # letters and digits only: it goes into URLs and ini files as it is


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Logins and keys, each of 192 bits."""

    postgres_password: str = field(default_factory=_generated, repr=False)
    mlflow_database_password: str = field(default_factory=_generated, repr=False)
    mlflow_auth_database_password: str = field(default_factory=_generated, repr=False)
    mlflow_username: str = ADMIN
    mlflow_password: str = field(default_factory=_generated, repr=False)
    mlflow_secret_key: str = field(default_factory=_generated, repr=False)
    ray_token: str = field(default_factory=_generated, repr=False)


def load_credentials(home: Home) -> Credentials:
    """Return the credentials of a platform that was started before; raise PlatformError if missing or damaged."""
    path = home.credentials_file
    try:
        values = read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        raise PlatformError(f"no platform at {home.path}; run `mlp up`") from None
    except ValueError as error:
        raise PlatformError(f"{path} is damaged ({error}); {_MENDING.format(home=home.path)}") from None
    missing = [f.name for f in fields(Credentials) if not isinstance(values.get(f.name), str)]
    if missing:
        raise PlatformError(f"{path} lacks {', '.join(missing)}; {_MENDING.format(home=home.path)}")
    return Credentials(**{f.name: values[f.name] for f in fields(Credentials)})


def ensure_credentials(home: Home) -> Credentials:
    """Return the credentials of this home, generated on first use; write the file of Ray's token with them."""
    if not home.credentials_file.exists():
        if home.postgres_data.exists():
            raise PlatformError(
                f"{home.credentials_file} is gone, and {home.postgres_data} opens with its passwords only; "
                f"{_MENDING.format(home=home.path)}"
            )
        write_private(home.credentials_file, json.dumps(asdict(Credentials()), indent=2) + "\n")
    credentials = load_credentials(home)
    if not home.ray_token_file.exists() or home.ray_token_file.read_text() != credentials.ray_token:
        write_private(home.ray_token_file, credentials.ray_token)
    return credentials


_MENDING = "restore the file from a copy, or `mlp down` and remove {home} to start afresh (its runs are lost)"
