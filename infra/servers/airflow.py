"""Airflow, which runs in the cluster alone: what its processes are told, and their sizes."""

from __future__ import annotations

from collections.abc import Mapping

from infra.servers.database_url import database_url
from infra.servers.places import sized

VERSION = "3.3.2"
"""Airflow's version in the image, on which the chart's templates depend."""
DRIVER, ASYNC_DRIVER = "psycopg2", "asyncpg"
"""SQLAlchemy's drivers of the database, which come with Airflow's provider for PostgreSQL."""
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
TASKS_PER_SCHEDULER = 16

API_SERVER_ARGUMENTS = ("bash", "-c", "exec airflow api-server --proxy-headers")
"""Command of the API server, behind a load balancer that ends TLS: without its headers cookies are not secure and
redirects lose https."""
API_SERVER_ENVIRONMENT: Mapping[str, str] = {"FORWARDED_ALLOW_IPS": "*"}
ENVIRONMENT: Mapping[str, str] = {
    # The program has seen the database; each start would ask it again, which takes seconds of every task.
    "CONNECTION_CHECK_MAX_COUNT": "0",
}
CONFIG: Mapping[str, Mapping[str, str]] = {
    "core": {"auth_manager": FAB, "load_examples": "False", "parallelism": str(TASKS_PER_SCHEDULER)},
    "api": {"expose_config": "False"},
    "logging": {
        "remote_logging": "True",
        "remote_log_conn_id": "aws_default",
        "encrypt_s3_logs": "False",  # the bucket does
        "delete_local_logs": "True",
    },
    "kubernetes_executor": {
        # Their logs are in the bucket, and pods that failed would stay for ever.
        "delete_worker_pods_on_failure": "True",
        # A full quota is waited for.
        "task_publish_max_retries": "-1",
    },
}
"""Sections of airflow.cfg; every leaf is a string."""

RESOURCES = {
    "apiServer": sized("100m", "512Mi", "1Gi"),
    "scheduler": sized("100m", "448Mi", "1Gi"),
    "dagProcessor": sized("100m", "384Mi", "1Gi"),
    "triggerer": sized("50m", "384Mi", "768Mi"),
    "task": sized("100m", "384Mi", "1Gi"),
    "setup": sized("100m", "384Mi", "1Gi"),
    "databaseCleanup": sized("50m", "256Mi", "512Mi"),
    "statsd": sized("10m", "32Mi", "128Mi"),
    "gitSync": sized("10m", "64Mi", "256Mi"),
    "logGroomer": sized("5m", "16Mi", "64Mi"),
}
"""Size of each of its processes."""


def connections(*, user: str, password: str, host: str, port: int | str, database: str) -> dict[str, str]:
    """Return the URLs of the database, `connection` for its processes and `connection-async` for those of asyncio.

    asyncpg takes psycopg's `sslmode` for an error, and Airflow would hand it on.
    """

    def url(driver: str, option: str) -> str:
        return database_url(
            driver, user=user, password=password, host=host, port=port, database=database, option=option
        )

    return {"connection": url(DRIVER, "sslmode=require"), "connection-async": url(ASYNC_DRIVER, "ssl=require")}
