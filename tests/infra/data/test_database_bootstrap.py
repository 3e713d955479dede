"""The script that makes databases and owners, on a real PostgreSQL with an administrator that is no superuser."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest

from infra.data.database_bootstrap import DatabaseBootstrap, DatabaseBootstrapArgs
from mlp.local.credentials import ensure_credentials
from mlp.local.home import Home, prepare
from mlp.local.postgres import SUPERUSER, Postgres
from mlp.local.postgres_files import PostgresFiles
from mlp.local.state import load_state
from mlp.local.supervisor import Supervisor
from tests.builders import deploy, inputs_of, wanted
from tests.infra.builders import CLUSTER
from tests.mlp.local.builders import Told

SCRIPT = Path(__file__).resolve().parents[3] / "infra" / "data" / "database_bootstrap.sh"
ADMIN = "platform"
OWNERS = ("mlflow", "airflow")


class EmptyPostgres(Postgres):
    """A server without any database of ours."""

    def initialize(self, ports):
        pass


class Server:
    """A running PostgreSQL whose administrator may make roles and databases, as the one of RDS."""

    def __init__(self, home: Home) -> None:
        credentials = ensure_credentials(home)
        self.supervisor = Supervisor(home, [EmptyPostgres(home, credentials)], Told())
        self.supervisor.up({})
        self.port = load_state(home).state.ports["postgres"]
        self.log = home.log("postgres")
        self.psql = PostgresFiles(home).binaries
        with self.connect(SUPERUSER, credentials.postgres_password, SUPERUSER) as connection:
            connection.execute(f"CREATE ROLE {ADMIN} LOGIN CREATEROLE CREATEDB PASSWORD 'admin'")
            connection.execute("ALTER DATABASE postgres OWNER TO platform")

    def connect(self, user, password, database):
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=user, password=password, dbname=database, autocommit=True
        )

    def bootstrap(self, **passwords):
        environment = {
            "PATH": f"{self.psql}:{os.environ['PATH']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": ADMIN,
            "PGPASSWORD": "admin",
            "PGDATABASE": "postgres",
            **{f"PASSWORD_{owner}": password for owner, password in passwords.items()},
        }
        command = ["sh", "-ec", SCRIPT.read_text(), "bootstrap", *passwords]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def server():
    folder = Path(tempfile.mkdtemp(prefix="mlp-test-"))
    folder.chmod(0o755)
    home = Home(folder / "platform")
    prepare(home)
    running = Server(home)
    yield running
    running.supervisor.down()
    shutil.rmtree(folder)


def test_every_owner_gets_a_database_of_its_own_and_no_other(server):
    result = server.bootstrap(mlflow="one", mlflow_auth="two")
    assert result.returncode == 0, result.stderr
    with server.connect("mlflow", "one", "mlflow") as connection:
        connection.execute("CREATE TABLE runs (id int)")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        server.connect("mlflow", "one", "mlflow_auth")


def test_a_second_run_changes_passwords_and_nothing_else(server):
    assert server.bootstrap(airflow="first").returncode == 0
    with server.connect("airflow", "first", "airflow") as connection:
        connection.execute("CREATE TABLE dags (id int)")
    assert server.bootstrap(airflow='it\'s "new"; DROP').returncode == 0
    with server.connect("airflow", 'it\'s "new"; DROP', "airflow") as connection:
        assert connection.execute("SELECT count(*) FROM dags").fetchone() == (0,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        server.connect("airflow", "first", "airflow")


def test_a_database_that_is_the_administrators_is_handed_to_its_owner(server):
    with server.connect(ADMIN, "admin", "postgres") as connection:
        connection.execute("CREATE DATABASE experiments")
    assert server.bootstrap(experiments="three").returncode == 0
    with server.connect("experiments", "three", "experiments") as connection:
        connection.execute("CREATE TABLE runs (id int)")


def test_a_server_that_refuses_ends_the_script_with_its_message(server):
    environment_without_login = {"PATH": f"{server.psql}:{os.environ['PATH']}", "PGHOST": "127.0.0.1"}
    result = subprocess.run(
        ["sh", "-ec", SCRIPT.read_text(), "bootstrap", "mlflow"],
        env=environment_without_login | {"PGPORT": str(server.port), "PGUSER": ADMIN, "PGPASSWORD": "wrong"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode != 0
    assert "password authentication failed" in result.stderr


def deploy_bootstrap(generation=1):
    args = DatabaseBootstrapArgs(
        host="db.example",
        admin_secret_arn="arn:admin",
        owner_secret_arns={owner: f"arn:{owner}" for owner in OWNERS},
        password_generation=generation,
        cluster=CLUSTER,
    )
    return deploy(lambda: DatabaseBootstrap("databases", args))


JOB = "kubernetes:batch/v1:Job"


def test_the_job_is_another_when_a_password_is_and_runs_once_its_logins_are_there():
    first, second = (wanted(deploy_bootstrap(generation), JOB)["databases"] for generation in (1, 2))
    assert first.inputs["metadata"]["name"] != second.inputs["metadata"]["name"]
    deployment = deploy_bootstrap()
    [logins] = wanted(deployment, "kubernetes:external-secrets.io/v1:ExternalSecret").values()
    assert logins.urn in wanted(deployment, JOB)["databases"].dependencies
    properties = {one["secretKey"]: one["remoteRef"]["key"] for one in logins.inputs["spec"]["data"]}
    assert properties == {"PGUSER": "arn:admin", "PGPASSWORD": "arn:admin"} | {
        f"PASSWORD_{owner}": f"arn:{owner}" for owner in OWNERS
    }


def test_the_job_runs_as_nobody_special_with_its_logins_by_reference():
    spec = inputs_of(deploy_bootstrap(), JOB)["databases"]["spec"]["template"]["spec"]
    [container] = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["envFrom"] == [{"secretRef": {"name": "database-logins-1"}}]
    assert "@sha256:" in container["image"]
    assert not [one for one in container["env"] if "PASSWORD" in one["name"]]
