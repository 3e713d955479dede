import json
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace

import psutil
import pytest

from mlp.local.home import Home, locked
from mlp.local.observe import ServiceStatus
from mlp.local.processes import marked
from mlp.local.state import load_state, save_state
from mlp.local.supervisor import Supervisor
from mlp.shared.errors import PlatformError
from tests.mlp.local.builders import DEAF, FAILING, LEAVING_A_CHILD, WITH_CHILD, Told, Web, kill, wait_until


def supervisor(home, *services, told=None):
    return Supervisor(home, services, told or Told(), recheck_s=0.5)


def conditions(statuses: list[ServiceStatus]) -> dict[str, str]:
    return {status.service: status.condition for status in statuses}


def pids(statuses: list[ServiceStatus]) -> dict[str, int]:
    return {status.service: status.pid for status in statuses if status.pid is not None}


def left(home):
    return marked({str(home.path)})


def test_all_services_run_after_up_and_none_after_down(home):
    platform = supervisor(home, Web("store"), Web("web", needs=("store",)))
    assert conditions(platform.up({})) == {"store": "running", "web": "running"}
    assert conditions(platform.status()) == {"store": "running", "web": "running"}
    assert platform.down() == ["store", "web"]
    assert conditions(platform.status()) == {"store": "stopped", "web": "stopped"}
    assert left(home) == {}
    assert platform.down() == []


def test_an_optional_service_runs_from_its_first_request_to_the_next_stop(home):
    platform = supervisor(home, Web("web"), Web("extra", optional=True))
    assert conditions(platform.up({})) == {"web": "running"}
    assert conditions(platform.status()) == {"web": "running"}
    before = platform.up({}, {"extra"})
    assert conditions(before) == {"web": "running", "extra": "running"}
    assert platform.up({}) == before
    kill(pids(before)["extra"])
    assert conditions(platform.status()) == {"web": "running", "extra": "dead"}
    assert conditions(platform.up({})) == {"web": "running", "extra": "running"}
    assert platform.down() == ["web", "extra"]
    assert conditions(platform.status()) == {"web": "stopped"}
    assert conditions(platform.up({})) == {"web": "running"}


def test_what_runs_well_is_left_alone_by_a_second_up(home):
    service = Web("web")
    first = supervisor(home, service).up({})
    told = Told()
    assert supervisor(home, service, told=told).up({}) == first
    assert service.settled == 1
    assert told.lines == []


def test_a_killed_service_is_told_and_alone_started_anew_on_its_port(home):
    platform = supervisor(home, Web("store"), Web("web"))
    before = {status.service: status for status in platform.up({})}
    assert before["web"].pid is not None
    kill(before["web"].pid)
    assert conditions(platform.status()) == {"store": "running", "web": "dead"}
    after = {status.service: status for status in platform.up({})}
    assert after["store"] == before["store"]
    assert after["web"] == replace(before["web"], pid=after["web"].pid)
    assert after["web"].pid != before["web"].pid


def test_children_that_outlive_their_leader_are_told_and_ended(home):
    platform = supervisor(home, Web("web", script=WITH_CHILD))
    kill(pids(platform.up({}))["web"])
    [status] = platform.status()
    [child] = left(home)["web"]
    assert status.condition == "dead"
    assert str(child.pid) in status.detail
    assert platform.down() == ["web"]
    assert left(home) == {}


def test_a_service_that_runs_but_answers_with_faults_is_unhealthy_and_started_anew(home):
    service = Web("web")
    service.setting = str(home.path / "fault")
    platform = supervisor(home, service)
    pid = pids(platform.up({}))["web"]
    service.start_patience_s = 1
    (home.path / "fault").touch()
    [status] = platform.status()
    assert (status.condition, status.pid) == ("unhealthy", pid)
    assert "answers 500" in status.detail
    with pytest.raises(PlatformError, match="answers 500"):  # nor is the new one well
        platform.up({})
    (home.path / "fault").unlink()
    assert conditions(platform.up({})) == {"web": "running"}
    assert not psutil.pid_exists(pid)


def test_a_service_whose_settings_changed_is_started_anew(home):
    service = Web("web")
    before = pids(supervisor(home, service).up({}))
    service.setting = "second"
    after = pids(supervisor(home, service).up({}))
    assert before != after
    assert psutil.Process(after["web"]).environ()["SETTING"] == "second"


def test_a_service_that_ends_at_once_is_told_with_its_last_words_and_the_rest_is_stopped(home):
    home.log("web").write_text("words of an earlier start\n")
    with pytest.raises(PlatformError) as told:
        supervisor(home, Web("store"), Web("web", script=FAILING, needs=("store",))).up({})
    message = str(told.value)
    assert "web did not start: ended with exit code 3" in message
    assert f"the end of {home.log('web')}:\n  one\n  the reason" in message
    assert "earlier" not in message
    assert left(home) == {}
    assert conditions(supervisor(home, Web("store"), Web("web")).status()) == {"store": "stopped", "web": "stopped"}


def test_children_of_a_service_that_failed_to_start_are_ended(home):
    with pytest.raises(PlatformError, match="web did not start: ended with exit code 3"):
        supervisor(home, Web("web", script=LEAVING_A_CHILD)).up({})
    assert left(home) == {}


def test_a_failing_start_leaves_what_ran_before(home):
    store = Web("store")
    before = pids(supervisor(home, store).up({}))
    with pytest.raises(PlatformError):
        supervisor(home, store, Web("web", script=FAILING)).up({})
    assert pids(supervisor(home, store).status()) == before


def test_a_service_that_never_answers_is_given_up(home):
    with pytest.raises(PlatformError, match=r"web did not start: not ready after 1 s: / on port \d+ does not answer"):
        supervisor(home, Web("web", script=DEAF, patience_s=1)).up({})
    assert left(home) == {}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (PlatformError("no such policy"), "web: no such policy"),
        (OSError(28, "No space left on device", "/x"), r"web: No space left on device \(/x\); fix that"),
    ],
    ids=["refused", "full disk"],
)
def test_a_service_that_cannot_be_settled_is_stopped_again(home, fault, said):
    service = Web("web")
    service.settle_fault = fault
    with pytest.raises(PlatformError, match=said):
        supervisor(home, service).up({})
    assert left(home) == {}


def test_a_start_that_was_not_finished_is_made_anew(home):
    service = Web("web")
    supervisor(home, service).up({})
    state = load_state(home).state
    state.services["web"] = replace(state.services["web"], phase="starting")
    save_state(home, state)
    [status] = supervisor(home, service).status()
    assert (status.condition, status.detail) == ("unhealthy", "its start is not finished")
    supervisor(home, service).up({})
    assert service.settled == 2
    assert conditions(supervisor(home, service).status()) == {"web": "running"}


@pytest.mark.parametrize("text", [None, "{ damaged"], ids=["lost", "damaged"])
def test_without_a_record_the_processes_are_found_by_their_marks(home, text):
    told = Told()
    platform = supervisor(home, Web("web"), told=told)
    pid = pids(platform.up({}))["web"]
    home.state_file.unlink() if text is None else home.state_file.write_text(text)
    [status] = platform.status()
    assert (status.condition, status.pid) == ("unhealthy", pid)
    assert "not on record" in status.detail
    assert any("damaged" in line for line in told.lines) == (text is not None)
    assert conditions(platform.up({})) == {"web": "running"}
    assert platform.down() == ["web"]
    assert left(home) == {}


def test_a_home_that_was_removed_while_its_services_ran_can_still_be_brought_down(home):
    platform = supervisor(home, Web("web"))
    platform.up({})
    for path in sorted(home.path.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    home.path.rmdir()
    assert platform.down() == ["web"]
    assert left(home) == {}
    assert not home.path.exists()


def test_a_home_that_was_moved_takes_its_services_along(home, tmp_path):
    before = pids(supervisor(home, Web("web")).up({}))
    moved = Home(home.path.rename(tmp_path / "moved"))
    assert pids(supervisor(moved, Web("web")).status()) == before
    assert supervisor(moved, Web("web")).down() == ["web"]
    assert left(home) == {}


@pytest.fixture
def foreign_process():
    """A process that has nothing to do with any platform."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def test_a_number_that_another_program_got_is_not_ended(home, foreign_process):
    platform = supervisor(home, Web("web"))
    kill(pids(platform.up({}))["web"])
    state = load_state(home).state
    record = state.services["web"]
    # Numbers come round again after a long time only.
    state.services["web"] = replace(record, pid=foreign_process.pid, created=record.created - 3600)
    save_state(home, state)
    assert conditions(platform.status()) == {"web": "dead"}
    assert platform.down() == []
    assert foreign_process.poll() is None


def test_a_fixed_port_moves_a_service_that_runs(home):
    platform = supervisor(home, Web("web"))
    before = pids(platform.up({}))
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    [status] = platform.up({"web": port})
    assert (status.condition, status.port) == ("running", port)
    assert pids([status]) != before
    assert platform.up({}) == [status]


def test_giving_up_in_the_middle_stops_what_was_started(home):
    command = [sys.executable, "-c", UP, str(home.path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as starting:
        wait_until(lambda: home.log("web").exists() and "deaf" in home.log("web").read_text())
        starting.send_signal(signal.SIGINT)
        said = starting.communicate()[1]
    assert "KeyboardInterrupt" in said
    assert left(home) == {}


def test_a_start_that_was_killed_leaves_nothing_that_down_does_not_find(home):
    command = [sys.executable, "-c", UP, str(home.path)]
    with subprocess.Popen(command) as starting:
        wait_until(lambda: home.log("web").exists() and "deaf" in home.log("web").read_text())
        starting.kill()
    platform = supervisor(home, Web("web"))
    assert conditions(platform.status()) == {"web": "unhealthy"}
    assert platform.down() == ["web"]
    assert left(home) == {}


UP = """
import signal, sys
from pathlib import Path
from mlp.local.home import Home
from mlp.local.supervisor import Supervisor
from tests.mlp.local.builders import DEAF, Told, Web
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job ignores
Supervisor(Home(Path(sys.argv[1])), [Web("web", script=DEAF, patience_s=120)], Told()).up({})
"""


def test_up_waits_for_another_at_work(home):
    told = Told()
    done = threading.Event()

    def bring_up():
        supervisor(home, Web("web"), told=told).up({})
        done.set()

    waiting = threading.Thread(target=bring_up)
    with locked(home, wait_s=0, on_wait=told.say):
        waiting.start()
        wait_until(lambda: told.lines)
        assert not done.is_set()
    waiting.join(timeout=30)
    assert done.is_set()
    assert told.lines[0].startswith("waiting for another mlp")


def test_the_record_holds_no_setting_of_a_service(home):
    service = Web("web")
    service.setting = "a password"
    supervisor(home, service).up({})
    record = json.loads(home.state_file.read_text())["services"]["web"]
    assert record["log"] == str(home.log("web"))
    assert "a password" not in home.state_file.read_text()
