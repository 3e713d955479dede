import shlex
import subprocess

import psutil
import pytest

from mlp.local.credentials import ensure_credentials
from mlp.local.env import code_version, environment, exports
from mlp.local.state import PlatformState, ServiceRecord, load_state, save_state
from mlp.shared.errors import PlatformError
from mlp.shared.files import write_private
from workloads.environment import PlatformEnvironment

PORTS = {"emulator": 2001, "postgres": 2002, "mlflow": 2003, "ray": 2004, "ray-dashboard": 2005}


@pytest.fixture
def running(home):
    """A home whose one service is this process."""
    this = psutil.Process()
    record = ServiceRecord(pid=this.pid, created=this.create_time(), command=[], fingerprint="", log="", phase="ready")
    return save(home, web=record)


@pytest.fixture
def emulating(running):
    """The same with an emulator."""
    record = load_state(running).state.services["web"]
    return save(running, web=record, emulator=record)


def save(home, **services):
    save_state(home, PlatformState(home=str(home.path), ports=PORTS, services=services))
    ensure_credentials(home)
    return home


def test_the_workloads_read_what_the_platform_says(running):
    credentials = ensure_credentials(running)
    told = PlatformEnvironment.read(environment(running, ["web"], {}))
    assert told.tracking_uri == "http://127.0.0.1:2003"
    assert (told.tracking_username, told.tracking_password) == ("admin", credentials.mlflow_password)
    assert told.ray_address == "127.0.0.1:2004"
    assert (told.data, told.checkpoints) == (str(running.data), str(running.checkpoints))
    assert told.registry == str(running.registry)
    assert all(folder.is_dir() for folder in (running.data, running.checkpoints, running.registry))
    assert told.code_version


def test_aws_clients_are_sent_to_the_emulator_with_the_stacks_region(emulating):
    assert environment(emulating, ["web"], {})["AWS_REGION"] == "us-east-1"
    write_private(emulating.outputs_file, '{"region": "eu-west-1"}')
    variables = environment(emulating, ["web"], {})
    assert variables["AWS_REGION"] == "eu-west-1"
    assert variables["AWS_ENDPOINT_URL"] == "http://127.0.0.1:2001"
    assert variables["AWS_ACCESS_KEY_ID"]
    assert variables["AWS_SECRET_ACCESS_KEY"]


def test_aws_clients_are_left_as_they_are_where_no_emulator_runs(running):
    assert not [name for name in environment(running, ["web"], {}) if name.startswith("AWS_")]


@pytest.mark.parametrize("names", [["web", "shop"], ["shop"]])
def test_a_platform_that_does_not_run_in_full_has_no_environment(running, names):
    with pytest.raises(PlatformError, match=r"does not run \(shop missing\); run `mlp up`"):
        environment(running, names, {})


def test_a_shell_reads_back_what_is_exported():
    value = 'it\'s $HOME "x"; `id`\n'
    script = exports({"NAME": value, "OTHER": "plain"}) + 'printf %s "$NAME"'
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == value
    assert exports({"OTHER": "plain"}) == f"export OTHER={shlex.quote('plain')}\n"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"no_proxy": "a"}, None),
        ({"https_proxy": "http://proxy"}, "127.0.0.1,localhost"),
        ({"HTTP_PROXY": "http://proxy", "NO_PROXY": "a,localhost"}, "a,localhost,127.0.0.1"),
    ],
)
def test_where_a_proxy_is_set_it_is_not_asked_for_this_machine(running, environ, expected):
    variables = environment(running, ["web"], environ)
    assert variables.get("no_proxy") == variables.get("NO_PROXY") == expected


def test_the_code_version_is_the_commit_if_git_knows_one(tmp_path):
    assert code_version(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    assert code_version(tmp_path) is None
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert code_version(tmp_path) == head
