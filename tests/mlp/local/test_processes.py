import os
import signal
import stat
import subprocess
import sys

import psutil
import pytest

from mlp.local import processes
from mlp.local.processes import Launch
from mlp.shared.errors import PlatformError
from tests.mlp.local.builders import wait_until

SLEEP = "import time; print('asleep', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEP
# A child in a session of its own, without the marks, as programs have that write over their environment.
HIDING = (
    f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {SLEEP!r}], env={{}}, start_new_session=True)
"""
    + SLEEP
)


def launch(home, script=SLEEP, **more):
    return Launch(command=[sys.executable, "-c", script], folder=home.path, **more)


def started(home, script=SLEEP, service="web", **more):
    """A child that has come as far as writing to its log."""
    log = home.log(service)
    before = log.read_text().count("asleep") if log.exists() else 0
    process = processes.start(launch(home, script, **more), service=service, home=home.path, log=log)
    wait_until(lambda: log.read_text().count("asleep") > before)
    return process


def end(*found, leader=None, stop_signal=signal.SIGTERM):
    return processes.end(found, leader=leader, stop_signal=stop_signal, grace_s=1, kill_grace_s=1)


def test_a_child_leads_its_own_session_and_is_found_by_its_marks(home):
    process = started(home)
    assert os.getsid(process.pid) == process.pid
    assert processes.marked({str(home.path)}) == {"web": [process]}
    assert processes.marked({f"{home.path}-other"}) == {}
    assert processes.session_leader([process]) == process


def test_the_output_goes_to_a_log_that_this_user_alone_can_read(home):
    started(home)
    started(home)
    assert home.log("web").read_text() == "asleep\nasleep\n"
    assert stat.S_IMODE(home.log("web").stat().st_mode) == 0o600


def test_a_log_that_has_grown_large_makes_room(home):
    home.log("web").write_bytes(b"x" * (11 * 1024 * 1024))
    started(home)
    assert home.log("web").read_text() == "asleep\n"
    assert home.log("web").with_name("web.log.1").stat().st_size > 10 * 1024 * 1024


def test_a_child_gets_its_own_settings_but_not_those_of_other_platforms(home, monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "AWS_PROFILE", "PGHOST"):
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("ORDINARY", "kept")
    environment = started(home, environment={"MLFLOW_SETTING": "own"}).environ()
    assert not {"MLFLOW_TRACKING_URI", "RAY_ADDRESS", "AWS_PROFILE", "PGHOST"} & set(environment)
    assert (environment["ORDINARY"], environment["MLFLOW_SETTING"]) == ("kept", "own")


def test_files_of_a_launch_are_written_for_this_user_alone(home):
    started(home, files={home.path / "settings.ini": "secret"})
    assert (home.path / "settings.ini").read_text() == "secret"
    assert stat.S_IMODE((home.path / "settings.ini").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "change",
    [{"environment": {"A": "2"}}, {"command": ["other"]}, {"user": "other"}, {"files": {}}],
    ids=lambda change: next(iter(change)),
)
def test_a_fingerprint_changes_with_what_a_service_is_started_with(home, change):
    settings = {"command": ["run"], "folder": home.path, "environment": {"A": "1"}, "files": {home.path: "text"}}
    assert Launch(**settings).fingerprint == Launch(**settings).fingerprint
    assert Launch(**{**settings, **change}).fingerprint != Launch(**settings).fingerprint


def test_a_program_that_is_not_there_is_named(home):
    with pytest.raises(PlatformError, match="/no/such/program could not be started: No such file"):
        processes.start(
            Launch(command=["/no/such/program"], folder=home.path), service="web", home=home.path, log=home.log("web")
        )


def test_a_process_is_known_by_number_and_start_time_together(home):
    process = started(home)
    assert processes.recorded(process.pid, process.create_time()) == process
    assert processes.recorded(process.pid, process.create_time() - 100) is None
    end(process)
    assert processes.recorded(process.pid, process.create_time()) is None


@pytest.mark.parametrize(
    ("script", "said"),
    [("raise SystemExit(3)", "ended with exit code 3"), ("import os; os.kill(os.getpid(), 9)", "was ended by SIGKILL")],
    ids=["exit", "signal"],
)
def test_how_a_child_ended_is_told(home, script, said):
    process = processes.start(launch(home, script), service="web", home=home.path, log=home.log("web"))
    wait_until(lambda: not processes.alive(process))
    assert processes.exit_description(process) == said


def test_a_dead_child_that_nobody_asked_for_does_not_count_as_alive():
    with subprocess.Popen([sys.executable, "-c", "pass"]) as child:
        process = psutil.Process(child.pid)
        wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE)
        assert not processes.alive(process)
        assert processes.exit_description(process) == "ended"


@pytest.mark.parametrize(
    "fault", [psutil.NoSuchProcess(1), FileNotFoundError(2, "No such file")], ids=["gone", "going"]
)
def test_a_process_that_vanishes_while_it_is_looked_at_is_not_alive(fault):
    class Vanishing(psutil.Process):
        def status(self):
            raise fault

    assert not processes.alive(Vanishing())


def test_ending_takes_children_that_hide_with_it(home):
    process = started(home, HIDING)
    [hidden] = process.children()
    assert processes.process_tree([process]) == [process, hidden]
    assert end(process, leader=process) == []
    assert not processes.alive(hidden)


def test_what_will_not_end_is_killed(home):
    process = started(home, STUBBORN)
    assert end(process, leader=process) == []
    assert processes.exit_description(process) == "was ended by SIGKILL"


def test_a_leader_is_asked_in_its_own_way(home):
    process = started(home, "import signal; signal.signal(signal.SIGINT, lambda *_: exit(7))\n" + SLEEP)
    assert end(process, leader=process, stop_signal=signal.SIGINT) == []
    assert processes.exit_description(process) == "ended with exit code 7"


def test_others_in_the_session_of_a_dead_leader_are_family(home):
    leader = started(home, f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n" + SLEEP)
    wait_until(lambda: home.log("web").read_text().count("asleep") == 2)
    [other] = leader.children()
    leader.kill()
    wait_until(lambda: not processes.alive(leader))
    assert processes.marked({str(home.path)}) == {"web": [other]}
    assert processes.session_leader([other]) is None
    assert end(other) == []


def test_this_process_is_never_among_the_found(home, monkeypatch):
    monkeypatch.setenv("MLP_HOME", str(home.path))
    monkeypatch.setenv("MLP_SERVICE", "web")
    found = subprocess.run(
        [sys.executable, "-c", f"from mlp.local import processes; print(processes.marked({{{str(home.path)!r}}}))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout == "{}\n"
