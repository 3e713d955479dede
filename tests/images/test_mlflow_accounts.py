"""The script that makes accounts, against a real tracking server behind its login."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import requests

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parents[2] / "images" / "mlflow" / "accounts.py"
ADMIN = ("admin", "administrator1")
AUTH = """[mlflow]
default_permission = READ
database_uri = sqlite:///{folder}/users.db
admin_username = admin
admin_password = administrator1
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    (folder / "auth.ini").write_text(AUTH.format(folder=folder))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--app-name", "basic-auth", "--backend-store-uri", f"sqlite:///{folder}/runs.db"]
    environment = {
        "PATH": str(Path(sys.executable).parent),
        "HOME": str(folder),
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of this test",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    ) as process:
        try:
            deadline = time.monotonic() + 90
            while not answers(uri):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
            yield uri
        finally:
            process.terminate()


def answers(uri):
    try:
        return requests.get(f"{uri}/health", timeout=2).ok
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
            [sys.executable, str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=90, check=False
        )
        assert result.returncode == 0, result.stderr
        return result.stdout.splitlines()

    return reconcile


def may(server, name, path, **body: Any):
    answer = requests.post(f"{server}/api/2.0/mlflow/{path}", json=body, auth=(name, f"password-of-{name}"), timeout=30)
    assert answer.status_code in (200, 401, 403), answer.text
    return answer.ok


@pytest.fixture
def run(server):
    """A run of the administrator's, which others may read or change as their account allows."""
    body: dict[str, Any] = {"experiment_id": "0", "start_time": 1}
    answer = requests.post(f"{server}/api/2.0/mlflow/runs/create", json=body, auth=ADMIN, timeout=30)
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
    requests.post(f"{server}/api/2.0/mlflow/users/create", json=body, auth=ADMIN, timeout=30).raise_for_status()
    accounts(ada="READ")
    assert may(server, "visitor", "runs/search", experiment_ids=["0"], max_results=1)
