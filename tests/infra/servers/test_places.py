"""One definition of each server: what differs between the cluster and a laptop is named, with a reason."""

import configparser
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from infra.servers import mlflow, ray
from infra.servers.database_url import database_url
from infra.servers.places import Difference, settings_in
from mlp.local.credentials import Credentials
from mlp.local.home import Home
from mlp.local.mlflow_server import MlflowServer
from mlp.local.ray_head import RayHead
from tests.infra.services.test_mlflow import deploy_mlflow, values_of

DIFFERENCES = {
    "mlflow": {"workers", "expose-prometheus", "uvicorn-opts", "PGSSLMODE"},
    "ray": {"num-cpus", "object-store-memory"},
}
"""All that is told to a server in one place and otherwise in the other."""
SETTINGS = {
    "mlflow": {**mlflow.ARGUMENTS, **mlflow.ENVIRONMENT, **mlflow.LOGIN},
    "ray": {**ray.START, **ray.ENVIRONMENT},
}
PORTS = {"mlflow": 1, "postgres": 2, "ray": 3, "ray-dashboard": 4, "ray-client": 5}


@pytest.mark.parametrize("server", SETTINGS)
def test_these_settings_differ_each_for_a_reason_and_no_others(server):
    found = {name: one for name, one in SETTINGS[server].items() if isinstance(one, Difference)}
    assert found.keys() == DIFFERENCES[server]
    assert all(one.reason and one.cluster != one.laptop for one in found.values())


def test_a_setting_is_the_same_everywhere_unless_it_differs():
    settings: dict[str, str | Difference] = {
        "a": "1",
        "b": Difference(cluster="2", laptop=None, reason="why"),
        "c": Difference(cluster="3", laptop="4", reason="why"),
    }
    assert settings_in("cluster", settings) == {"a": "1", "b": "2", "c": "3"}
    assert settings_in("laptop", settings) == {"a": "1", "c": "4"}


def options(command):
    """The options of a command by name; `--name value` and `--name=value` are the same."""
    found, words = {}, list(command)
    while words:
        name, _, value = words.pop(0).partition("=")
        if name.startswith("--"):
            found[name.removeprefix("--")] = value or (words.pop(0) if words and not words[0].startswith("--") else "")
    return found


def test_the_laptops_mlflow_is_told_what_the_definition_says_and_else_only_where_things_are(tmp_path):
    launch = MlflowServer(Home(tmp_path), Credentials()).launch(PORTS)
    told = options(launch.command)
    assert told.keys() - mlflow.ARGUMENTS.keys() == {"host", "port", "artifacts-destination"}
    assert {name: told[name] for name in told.keys() & mlflow.ARGUMENTS.keys()} == settings_in(
        "laptop", mlflow.ARGUMENTS
    )
    variables = {name: value for name, value in launch.environment.items() if name in mlflow.ENVIRONMENT}
    assert variables == settings_in("laptop", mlflow.ENVIRONMENT)
    [file] = launch.files.values()
    login = configparser.ConfigParser()
    login.read_string(file)
    entries = dict(login["mlflow"])
    assert entries.keys() - mlflow.LOGIN.keys() == {"database_uri", "admin_username"}
    assert {name: entries[name] for name in mlflow.LOGIN} == settings_in("laptop", mlflow.LOGIN)


def test_the_clusters_mlflow_is_told_what_the_definition_says():
    values = values_of(deploy_mlflow())
    arguments = settings_in("cluster", mlflow.ARGUMENTS)
    assert values["auth"]["appName"] == arguments["app-name"]
    assert values["extraArgs"] == {"workers": arguments["workers"], "exposePrometheus": arguments["expose-prometheus"]}
    assert values["extraEnvVars"].items() >= settings_in("cluster", mlflow.ENVIRONMENT).items()
    assert values["extraEnvVars"].keys() - mlflow.ENVIRONMENT.keys() == {"AWS_DEFAULT_REGION"}
    assert values["resources"] == mlflow.RESOURCES


def test_the_file_of_logins_that_the_chart_writes_has_every_entry():
    login = values_of(deploy_mlflow())["auth"]
    template = f"""
    [mlflow]
    default_permission = {login["defaultPermission"]}
    authorization_function = {login["authorizationFunction"]}
    """
    written = configparser.ConfigParser()
    written.read_string("\n".join(line.removeprefix("    ") for line in template.splitlines()))
    assert dict(written["mlflow"]) == settings_in("cluster", mlflow.LOGIN)
    assert written["mlflow"].getint("auth_cache_ttl_seconds") == 60


def test_mlflow_runs_no_jobs_and_tells_nobody_anywhere():
    for place in ("cluster", "laptop"):
        told = settings_in(place, mlflow.ENVIRONMENT)
        assert (told["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"], told["MLFLOW_DISABLE_TELEMETRY"]) == ("false", "true")


def test_the_laptops_ray_is_told_what_the_definition_says_and_else_only_where_things_are(tmp_path):
    launch = RayHead(Home(tmp_path), Credentials()).launch(PORTS)
    told = options(launch.command)
    expected = settings_in("laptop", ray.START)
    assert expected.items() <= told.items()
    of_the_place = {"node-ip-address", "port", "dashboard-host", "dashboard-port", "ray-client-server-port", "temp-dir"}
    assert told.keys() - expected.keys() - of_the_place == {"head", "block", "num-cpus", "log-color"}
    assert launch.environment.items() >= settings_in("laptop", ray.ENVIRONMENT).items()
    assert launch.environment["RAY_AUTH_MODE"] == ray.AUTH_MODE == "token"


def test_a_database_url_names_its_driver_and_is_read_back():
    login: dict[str, Any] = {
        "user": "mlflow",
        "password": "p4ss",
        "host": "db.example",
        "port": 5432,
        "database": "runs",
    }
    url = make_url(database_url("psycopg2", **login, option="sslmode=require"))
    assert (url.drivername, url.username, url.password, url.host) == (
        "postgresql+psycopg2",
        "mlflow",
        "p4ss",
        "db.example",
    )
    assert (url.port, url.database, url.query) == (5432, "runs", {"sslmode": "require"})
    assert database_url(None, **login) == "postgresql://mlflow:p4ss@db.example:5432/runs"
