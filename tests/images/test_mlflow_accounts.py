"""The script that makes accounts, against a real tracking server behind its login."""

import json
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from infra.servers import mlflow
from infra.servers.places import settings_in
from infra.services.mlflow import OWN_ACCOUNTS

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parents[2] / "images" / "mlflow" / "accounts.py"
ADMIN = ("admin", "administrator1")
AUTH = """[mlflow]
database_uri = sqlite:///{folder}/users.db
admin_username = admin
admin_password = administrator1
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    login = "".join(f"{name} = {value}\n" for name, value in settings_in("cluster", mlflow.LOGIN).items())
    (folder / "auth.ini").write_text(AUTH.format(folder=folder) + login)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--app-name", "basic-auth", "--backend-store-uri", f"sqlite:///{folder}/runs.db"]
    command += ["--expose-prometheus", str(folder / "metrics")]
    environment = {
        "PATH": str(Path(sys.executable).parent),
        "HOME": str(folder),
        "PYTHONPATH": str(SCRIPT.parent),
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of this test",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    ) as process:
        try:
            deadline = time.monotonic() + 240
            while not answers(uri):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
            yield uri
        finally:
            process.terminate()


def answers(uri):
    try:
        return requests.get(f"{uri}/health", timeout=20).ok
    except requests.ConnectionError:
        return False


@pytest.fixture
def accounts(server, tmp_path):
    def reconcile(**wanted):
        """What the script says when it is run as its Job runs it."""
        for name in wanted:
            (tmp_path / name).write_text(f"password-of-{name}\n")
        environment = {
            "PATH": str(Path(sys.executable).parent),
            "HOME": str(tmp_path),
            "MLFLOW_TRACKING_URI": server,
            "MLFLOW_TRACKING_USERNAME": ADMIN[0],
            "MLFLOW_TRACKING_PASSWORD": ADMIN[1],
            "ACCOUNTS": json.dumps(wanted),
            "ACCOUNT_PASSWORDS": str(tmp_path),
        }
        result = subprocess.run(
            [sys.executable, str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert result.returncode == 0, result.stderr
        return result.stdout.splitlines()

    return reconcile


def may(server, account, path, /, **body: Any):
    answer = requests.post(
        f"{server}/api/2.0/mlflow/{path}", json=body, auth=(account, f"password-of-{account}"), timeout=120
    )
    assert answer.status_code in (200, 401, 403), answer.text
    return answer.ok


@pytest.fixture
def run(server):
    """A run of the administrator's, which others may read or change as their account allows."""
    body: dict[str, Any] = {"experiment_id": "0", "start_time": 1}
    answer = requests.post(f"{server}/api/2.0/mlflow/runs/create", json=body, auth=ADMIN, timeout=120)
    return answer.json()["run"]["info"]["run_id"]


def test_accounts_may_do_what_the_stack_file_says(server, accounts, run):
    assert accounts(ada="MANAGE", ben="EDIT", cleo="READ") == ["ada: MANAGE", "ben: EDIT", "cleo: READ"]
    for name, changes, deletes in (("ada", True, True), ("ben", True, False), ("cleo", False, False)):
        assert may(server, name, "runs/search", experiment_ids=["0"], max_results=1)
        assert may(server, name, "runs/set-tag", run_id=run, key="k", value="v") is changes
        assert may(server, name, "runs/delete", run_id=run) is deletes
        if deletes:
            assert may(server, name, "runs/restore", run_id=run)


def test_a_second_run_changes_permissions_and_deletes_who_is_no_longer_named(server, accounts, run):
    accounts(ada="MANAGE", ben="EDIT")
    assert accounts(ada="READ") == ["ben: deleted", "ada: READ"]
    assert not may(server, "ada", "runs/set-tag", run_id=run, key="k", value="v")
    assert not may(server, "ben", "runs/search", experiment_ids=["0"], max_results=1)
    assert accounts(ada="READ") == ["ada: READ"]


def test_accounts_made_by_hand_are_left_alone(server, accounts):
    body = {"username": "visitor", "password": "password-of-visitor"}
    requests.post(f"{server}/api/2.0/mlflow/users/create", json=body, auth=ADMIN, timeout=120).raise_for_status()
    accounts(ada="READ")
    assert may(server, "visitor", "runs/search", experiment_ids=["0"], max_results=1)


@pytest.fixture
def model(server):
    """A model of the administrator's with two versions, the first of which has an alias."""
    name = f"model-{secrets.token_hex(4)}"
    for path, body in (
        ("registered-models/create", {}),
        ("model-versions/create", {"source": "s3://bucket/a"}),
        ("model-versions/create", {"source": "s3://bucket/b"}),
        ("registered-models/alias", {"alias": "production", "version": "1"}),
    ):
        answer = requests.post(f"{server}/api/2.0/mlflow/{path}", json={"name": name, **body}, auth=ADMIN, timeout=120)
        answer.raise_for_status()
    return name


@pytest.fixture
def everybody(accounts):
    """An account of each permission, by its name, and one that was made by hand and holds nothing."""
    accounts(**{permission.lower(): permission for permission in ("READ", "EDIT", "PROMOTE", "MANAGE")})


def test_only_a_promoter_moves_aliases(server, everybody, model):
    for name in ("read", "edit", "manage", "promote"):
        promotes = name == "promote"
        for alias in ("production", "staging"):
            assert may(server, name, "registered-models/alias", name=model, alias=alias, version="2") is promotes
        taken = requests.delete(
            f"{server}/ajax-api/2.0/mlflow/registered-models/alias",
            json={"name": model, "alias": "staging"}, auth=(name, f"password-of-{name}"), timeout=120,
        )  # fmt: skip
        assert (taken.status_code == 200) is promotes
        # Ways round: who renames a model takes its aliases along, and a stage can be loaded as well.
        assert may(server, name, "registered-models/rename", name=model, new_name=f"{model}-x") is promotes
        stage = {"name": f"{model}-x" if promotes else model, "version": "2", "stage": "Production"}
        assert may(server, name, "model-versions/transition-stage", **stage) is promotes


def test_who_made_a_model_moves_its_aliases_no_more_than_others(server, everybody):
    name = f"own-{secrets.token_hex(4)}"
    assert may(server, "edit", "registered-models/create", name=name)
    assert may(server, "edit", "model-versions/create", name=name, source="s3://bucket/a")
    assert may(server, "edit", "model-versions/set-tag", name=name, version="1", key="k", value="v")
    assert not may(server, "edit", "registered-models/alias", name=name, alias="staging", version="1")
    login = ("edit", "password-of-edit")
    for path, body in (("registered-models", {}), ("model-versions", {"version": "1"})):
        url = f"{server}/api/2.0/mlflow/{path}/delete"
        assert requests.delete(url, json={"name": name, **body}, auth=login, timeout=120).status_code == 403


def test_who_reads_makes_nothing(server, everybody, run, model):
    requests.post(
        f"{server}/api/2.0/mlflow/users/create",
        json={"username": "visiting", "password": "password-of-visiting"}, auth=ADMIN, timeout=120,
    )  # fmt: skip
    for name, makes in (("read", False), ("visiting", False), ("edit", True), ("promote", True)):
        assert may(server, name, "experiments/create", name=f"{name}-{secrets.token_hex(4)}") is makes
        assert may(server, name, "registered-models/create", name=f"{name}-{secrets.token_hex(4)}") is makes
        assert may(server, name, "runs/create", experiment_id="0", start_time=1) is makes
        assert may(server, name, "model-versions/create", name=model, source="s3://bucket/c") is makes
        url = f"{server}/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/{name}"
        put = requests.put(url, data=b"x", auth=(name, f"password-of-{name}"), timeout=120)
        assert put.ok is makes, put.text


def test_who_reads_goes_on_reading(server, everybody, run, model):
    login = ("read", "password-of-read")
    assert may(server, "read", "runs/search", experiment_ids=["0"], max_results=1)
    assert may(server, "read", "experiments/search", max_results=1)
    for path, query in (
        ("runs/get", {"run_id": run}),
        ("registered-models/get", {"name": model}),
        ("registered-models/alias", {"name": model, "alias": "production"}),
        ("model-versions/search", {"max_results": 1}),
    ):
        answer = requests.get(f"{server}/api/2.0/mlflow/{path}", params=query, auth=login, timeout=120)
        assert answer.ok, answer.text
    figures = requests.get(f"{server}/metrics", auth=login, timeout=120)
    assert figures.ok, figures.text  # as the platform's account `monitoring` does
    assert "mlflow" in figures.text
    assert requests.get(f"{server}/metrics", timeout=120).status_code == 401


def test_an_account_that_only_reads_now_keeps_no_right_on_what_it_made(server, accounts):
    accounts(ada="EDIT")
    name = f"mine-{secrets.token_hex(4)}"
    made = requests.post(
        f"{server}/api/2.0/mlflow/experiments/create",
        json={"name": name}, auth=("ada", "password-of-ada"), timeout=120,
    ).json()["experiment_id"]  # fmt: skip
    assert may(server, "ada", "runs/create", experiment_id=made, start_time=1)
    accounts(ada="READ")
    assert not may(server, "ada", "runs/create", experiment_id=made, start_time=1)
    assert may(server, "ada", "runs/search", experiment_ids=[made], max_results=1)


def test_the_platforms_own_accounts_are_of_permissions_that_there_are(accounts):
    made = [line for line in accounts(**OWN_ACCOUNTS) if not line.endswith(": deleted")]
    assert made == [f"{name}: {permission}" for name, permission in sorted(OWN_ACCOUNTS.items())]
