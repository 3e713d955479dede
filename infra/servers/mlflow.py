"""MLflow's tracking server: the same in the cluster and on a laptop, but for the differences named here."""

from __future__ import annotations

from infra.servers.places import Difference, Settings, sized

DRIVER = "psycopg2"
"""SQLAlchemy's driver of the databases, which the image's lock brings."""
DATABASE, AUTH_DATABASE = "mlflow", "mlflow_auth"
"""Names of the databases of runs and of accounts, and of their owners."""
ADMIN = "admin"
APP = "basic-auth"

ARGUMENTS: Settings = {
    "app-name": APP,
    "workers": Difference(
        cluster="2", laptop="1", reason="one person's work; each worker takes 200 MiB and caches logins for itself"
    ),
    "expose-prometheus": Difference(
        cluster="/tmp/metrics",  # noqa: S108  inside the pod
        laptop=None,
        reason="nothing collects metrics on a laptop",
    ),
    "uvicorn-opts": Difference(
        cluster=None, laptop="--no-access-log", reason="its log is a file, from which the last lines are shown"
    ),
}
"""Options of `mlflow server`; addresses and stores come from where it runs."""
ENVIRONMENT: Settings = {
    # Jobs of generative AI: eight more processes and 1.2 GiB, unused.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "PGSSLMODE": Difference(
        cluster="require", laptop=None, reason="RDS refuses a connection without TLS; the laptop's server has none"
    ),
}
LOGIN: Settings = {
    "default_permission": "READ",
    # A module of the image, with the permissions that MLflow does not tell apart.
    "authorization_function": "platform_access:authenticate",
    # Checking a password takes 0.4 s of processor time. A worker knows a changed one after this time.
    "auth_cache_ttl_seconds": "60",
}
"""Entries of the file that `MLFLOW_AUTH_CONFIG_PATH` names, beside those of the database and the administrator."""
RESOURCES = sized("250m", "768Mi", "2Gi")
"""Size of a server of two workers, which takes 570 MiB idle and 720 at most in tests."""
