"""The real platform: PostgreSQL, MLflow, Ray and the emulator as processes, in a home of its own."""

import base64
import http.client
import json
import os
import stat
import subprocess
import sys
import uuid

import boto3
import psutil
import psycopg
import pytest

from mlp.local import operations
from mlp.local.credentials import load_credentials
from mlp.local.env import environment
from mlp.local.home import Home
from mlp.local.postgres import Postgres
from mlp.local.processes import marked
from mlp.local.state import load_state
from tests.mlp.local.builders import Told, kill, wait_until

pytestmark = [pytest.mark.timeout(400)]


@pytest.fixture(scope="session")
def platform_home(open_folder):
    """A home whose platform is stopped in the end, also when a test failed."""
    made = Home(open_folder / "platform")
    yield made
    operations.down(made, Told())
    assert left(made) == []


@pytest.fixture
def platform(platform_home):
    """A platform whose services all run well."""
    statuses = operations.up(platform_home, [], Told())
    assert {status.condition for status in statuses} == {"running"}
    return platform_home


def pids(home):
    return {status.service: status.pid for status in operations.status(home, Told())}


def conditions(home):
    return {status.service: status.condition for status in operations.status(home, Told())}


def variables(home):
    return environment(home, operations.REQUIRED_NAMES, {})


def left(home):
    """All that still runs of a platform: what carries its marks, and PostgreSQL's own children."""
    found = [process for processes in marked({str(home.path)}).values() for process in processes]
    if not home.credentials_file.exists():
        return found
    return [*found, *Postgres(home, load_credentials(home)).unmarked_processes()]


def ask_mlflow(home, path="/api/2.0/mlflow/experiments/search", *, login=None, body=None):
    """Status and answer of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", load_state(home).state.ports["mlflow"], timeout=30)
    headers = {"Content-Type": "application/json"}
    if login is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(':'.join(login).encode()).decode()}"
    connection.request("POST", path, json.dumps(body or {"max_results": 10}), headers)
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response.status, answer


def owner(home):
    credentials = load_credentials(home)
    return credentials.mlflow_username, credentials.mlflow_password


def new_run(home):
    """The id of a run that was logged now."""
    body = {"experiment_id": "0", "run_name": "kept", "start_time": 1}
    status, answer = ask_mlflow(home, "/api/2.0/mlflow/runs/create", login=owner(home), body=body)
    assert status == 200
    return json.loads(answer)["run"]["info"]["run_id"]


def run_ids(home):
    status, answer = ask_mlflow(
        home, "/api/2.0/mlflow/runs/search", login=owner(home), body={"experiment_ids": ["0"], "max_results": 100}
    )
    assert status == 200
    return {run["info"]["run_id"] for run in json.loads(answer).get("runs", [])}


def test_mlflow_refuses_who_has_no_login_or_a_wrong_one(platform):
    name, password = owner(platform)
    assert ask_mlflow(platform)[0] == 401
    assert ask_mlflow(platform, login=(name, "password1234"))[0] == 401
    assert ask_mlflow(platform, login=("nobody", password))[0] == 401
    assert ask_mlflow(platform, login=(name, password))[0] == 200


def test_the_users_of_mlflow_are_in_postgres(platform):
    credentials = load_credentials(platform)
    with psycopg.connect(
        host="127.0.0.1",
        port=load_state(platform).state.ports["postgres"],
        dbname="mlflow_auth",
        user="mlflow_auth",
        password=credentials.mlflow_auth_database_password,
    ) as connection:
        assert connection.execute("SELECT username FROM users").fetchall() == [("admin",)]


def test_postgres_refuses_who_has_no_password_and_keeps_the_databases_apart(platform):
    url = variables(platform)["MLP_DATABASE_URL"]
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT current_database(), current_user").fetchone() == ("mlflow", "mlflow")
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(url, password="", passfile="/dev/null")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url, password="wrong")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(url, dbname="mlflow_auth")


def test_the_emulator_starts_on_request_and_holds_the_local_stack(platform):
    assert not [name for name in variables(platform) if name.startswith("AWS_")]
    statuses = operations.up(platform, [], Told(), ["aws"])
    assert {status.service for status in statuses} == set(operations.SERVICE_NAMES)
    outputs = json.loads(platform.outputs_file.read_text())
    told = variables(platform)
    client = boto3.client(
        "s3",
        endpoint_url=told["AWS_ENDPOINT_URL"],
        region_name=told["AWS_REGION"],
        aws_access_key_id=told["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=told["AWS_SECRET_ACCESS_KEY"],
    )
    assert outputs["artifact_bucket"] in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}


ON_RAY = """
import ray
ray.init(log_to_driver=False, logging_level="ERROR")
print("answer", ray.get(ray.remote(lambda: 6 * 7).remote()))
"""


def ask_ray(settings):
    """A driver of its own that asks Ray for one task."""
    return subprocess.run(
        [sys.executable, "-c", ON_RAY],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_ray_works_for_who_has_the_environment(platform):
    assert ask_ray(variables(platform)).stdout == "answer 42\n"


def test_rays_dashboard_refuses_who_has_no_token(platform):
    for headers in ({}, {"Authorization": f"Bearer {'0' * 48}"}):
        connection = http.client.HTTPConnection("127.0.0.1", load_state(platform).state.ports["ray-dashboard"])
        connection.request("GET", "/nodes?view=summary", headers=headers)
        assert connection.getresponse().status in {401, 403}
        connection.close()


@pytest.mark.slow
def test_ray_refuses_a_driver_that_has_no_token(platform):
    done = ask_ray({**variables(platform), "RAY_AUTH_MODE": "disabled"})
    assert done.returncode != 0
    assert "answer" not in done.stdout


def test_a_second_up_changes_nothing(platform):
    before = platform.state_file.read_text()
    told = Told()
    operations.up(platform, [], told)
    assert platform.state_file.read_text() == before
    assert told.lines == []


def mlp(home, *arguments):
    command = [sys.executable, "-m", "mlp.cli", *arguments]
    environ = {**os.environ, "MLP_HOME": str(home.path)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout


def test_up_and_status_tell_people_and_programs_the_same(platform):
    told = json.loads(mlp(platform, "up", "--json"))
    assert told == json.loads(mlp(platform, "status", "--json"))
    assert told["login"] == {"username": "admin", "password_file": str(platform.credentials_file)}
    shown = mlp(platform, "up")
    for service in told["services"]:
        assert service["state"] == "running"
        assert service["url"] in shown
        assert str(service["pid"]) in shown
    [*_table, login, token, database, shell] = shown.splitlines()
    assert login == f"MLflow login: admin, password: mlflow_password in {platform.credentials_file}"
    assert token == f"Ray dashboard's token: in {platform.ray_token_file}"
    assert database == f"PostgreSQL login: mlflow, password: mlflow_database_password in {platform.credentials_file}"
    assert shell == 'In a shell: eval "$(mlp env)"   Stop: mlp down'
    assert shown.splitlines()[0].split() == ["service", "state", "url", "pid"]
    assert load_credentials(platform).mlflow_password not in shown


def test_a_shell_takes_over_the_environment(platform):
    expected = json.loads(mlp(platform, "env", "--json"))
    script = mlp(platform, "env") + "exec env -0"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env={"PATH": os.defpath})
    got = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    assert expected.items() <= got.items()
    assert {"MLFLOW_TRACKING_URI", "RAY_ADDRESS", "MLP_DATA"} <= expected.keys()


def test_no_password_is_on_a_command_line_or_in_a_file_for_others(platform):
    credentials = load_credentials(platform)
    secrets = {value for value in vars(credentials).values() if value != credentials.mlflow_username}
    lines = [" ".join(process.cmdline()) for process in left(platform)]
    assert lines
    assert not [line for line in lines if any(secret in line for secret in secrets)]
    for path in platform.path.iterdir():
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for log in platform.log("any").parent.iterdir():
        assert not any(secret in log.read_text() for secret in secrets), log


@pytest.mark.slow
def test_runs_survive_the_sudden_end_of_database_and_server(platform):
    run = new_run(platform)
    before = pids(platform)
    kill(before["postgres"])
    kill(before["mlflow"])
    now = conditions(platform)
    assert (now["postgres"], now["mlflow"], now["ray"]) == ("dead", "dead", "running")
    operations.up(platform, [], Told())
    after = pids(platform)
    assert set(conditions(platform).values()) == {"running"}
    assert after["ray"] == before["ray"]
    assert run in run_ids(platform)


@pytest.mark.slow
def test_down_leaves_no_process_and_the_next_up_has_the_runs(platform):
    run = new_run(platform)
    marker = str(uuid.uuid4())
    (platform.data / marker).touch()
    assert left(platform)
    assert set(operations.down(platform, Told())) >= set(operations.REQUIRED_NAMES)
    assert left(platform) == []
    assert set(conditions(platform).values()) == {"stopped"}
    operations.up(platform, [], Told())
    assert run in run_ids(platform)
    assert (platform.data / marker).exists()


INNER = [
    ("postgres", None),
    ("postgres", "checkpointer"),
    ("mlflow", None),
    ("mlflow", "uvicorn"),
    ("ray", None),
    ("ray", "raylet/raylet"),
    ("ray", "gcs/gcs_server"),
    ("ray", "dashboard/dashboard.py"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("service", "inner"), INNER, ids=lambda value: str(value).rpartition("/")[2])
def test_whatever_is_killed_up_restores_it_and_down_ends_the_rest(platform, service, inner):
    run = new_run(platform)
    leader = psutil.Process(pids(platform)[service])
    victims = [leader] if inner is None else leader.children(recursive=True)
    [victim, *_] = [process for process in victims if inner is None or inner in " ".join(process.cmdline())]
    kill(victim.pid)
    if inner != "checkpointer":  # PostgreSQL itself starts that anew
        wait_until(lambda: conditions(platform)[service] == "dead")
    operations.up(platform, [], Told())
    wait_until(lambda: set(conditions(platform).values()) == {"running"})
    assert run in run_ids(platform)
    kill(pids(platform)[service])
    operations.down(platform, Told())
    assert left(platform) == []


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [1, 5])
def test_an_up_that_was_killed_is_told_and_cleared_up(platform, seconds):
    run = new_run(platform)
    operations.down(platform, Told())
    with subprocess.Popen(
        [sys.executable, "-m", "mlp.cli", "up"],
        env={**os.environ, "MLP_HOME": str(platform.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as starting:
        try:
            starting.wait(seconds)
        except subprocess.TimeoutExpired:
            starting.kill()
    running = {service for service, condition in conditions(platform).items() if condition != "stopped"}
    assert set(operations.down(platform, Told())) == running
    assert left(platform) == []
    operations.up(platform, [], Told())
    assert run in run_ids(platform)


@pytest.mark.slow
def test_two_platforms_run_side_by_side(platform, open_folder):
    other = Home(open_folder / "second")
    try:
        statuses = operations.up(other, [], Told())
        assert {status.condition for status in statuses} == {"running"}
        assert set(conditions(platform).values()) == {"running"}
        assert new_run(other) not in run_ids(platform)
    finally:
        operations.down(other, Told())
    assert left(other) == []
    assert set(conditions(platform).values()) == {"running"}
