"""`mlp recover` from the command to `pulumi`, which a script on the PATH stands in for."""

import json
import os
import stat
from pathlib import Path

import pytest

from mlp.recovery import operation as recovering
from mlp.shared.errors import PlatformError
from tests.command import run_mlp
from tests.mlp.account.builders import Quiet
from tests.mlp.recovery.builders import (
    TAGS,
    Answering,
    NoCloud,
    export,
    operation,
    pending,
    resource,
    urn,
)

JOB = pending("kubernetes:batch/v1:Job", "job", metadata={"name": "a", "namespace": "b"})
CLUSTER = pending("aws:eks/cluster:Cluster", "cluster", name="c")
RELEASE = resource("kubernetes:helm.sh/v3:Release", "release", "n/r", name="r", namespace="n")
NEW_RELEASE = resource("kubernetes:helm.sh/v3:Release", "new", name="r", namespace="n")


class FakeStack:
    """A stack in memory that keeps what was done to it."""

    name = "dev"

    def __init__(self, *operations, resources=(), refuses="", gone=()):
        self.state, self.done, self._refuses = export(operations, resources), [], refuses
        self._gone = gone
        """Logical names of what a refresh finds nothing of."""

    def export(self):
        return json.dumps(self.state)

    def replace(self, state):
        self.state = json.loads(state)
        self.done.append("replace")

    def refresh(self, urns):
        self._do("refresh", urns)
        deployment = self.state["deployment"]
        deployment["resources"] = [
            one for one in deployment["resources"] if one["urn"].rpartition("::")[2] not in self._gone
        ]

    def delete(self, urns):
        self._do("delete", urns)

    def _do(self, what, urns):
        if what == self._refuses:
            raise PlatformError(f"pulumi {what} failed: no")
        self.done.append((what, [one.rpartition("::")[2] for one in urns]))


def recover(stack, cloud=None, *, apply=True, pauses=None):
    return recovering.recover(
        stack,
        lambda _region: cloud or NoCloud(),
        {},
        Quiet(),
        apply=apply,
        pause=lambda: (pauses if pauses is not None else []).append(1),
    )


class Becoming:
    """An EKS whose cluster has one status after the other."""

    def __init__(self, *statuses):
        self._statuses = list(statuses)

    def __call__(self, service):
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        return Answering(eks={"describe_cluster": {"cluster": {"status": status, "tags": TAGS}}})(service)


def test_without_apply_nothing_is_changed():
    stack = FakeStack(JOB)
    found = recover(stack, apply=False)
    assert (stack.done, [one.action.value for one in found.open]) == ([], ["remove"])


def test_what_is_adopted_is_read_and_what_is_half_made_is_deleted():
    stack = FakeStack(JOB, CLUSTER)
    found = recover(stack, Becoming("ACTIVE"))
    assert stack.done == ["replace", ("refresh", ["job", "cluster"]), ("delete", ["job"])]
    assert found.open == ()


def test_what_a_refresh_does_not_find_is_not_deleted():
    """Helm refuses to delete a release that is not there."""
    stack = FakeStack(JOB, operation(NEW_RELEASE), gone={"new"})
    recover(stack)
    assert stack.done == ["replace", ("refresh", ["job", "new"]), ("delete", ["job"])]
    stack = FakeStack(operation(NEW_RELEASE), gone={"new"})
    recover(stack)
    assert stack.done == ["replace", ("refresh", ["new"])]


def test_it_waits_until_aws_is_ready():
    pauses: list[int] = []
    stack = FakeStack(CLUSTER)
    found = recover(stack, Becoming("CREATING", "CREATING", "ACTIVE"), pauses=pauses)
    assert (len(pauses), stack.done[-1], found.open) == (2, ("refresh", ["cluster"]), ())


def test_it_does_not_wait_for_ever():
    stack = FakeStack(CLUSTER)
    found = recover(stack, Becoming("CREATING"))
    assert [one.operation.resource.name for one in found.open] == ["cluster"]
    assert stack.state["deployment"]["pending_operations"] == [CLUSTER]


def test_what_was_being_updated_is_read_unless_it_is_gone_from_the_state():
    stack = FakeStack(
        operation(RELEASE, "updating"),
        operation(RELEASE | {"urn": urn("x:y:z", "gone")}, "reading"),
        resources=[RELEASE],
    )
    recover(stack)
    assert stack.done == ["replace", ("refresh", ["release"])]


def test_with_nothing_unfinished_nothing_is_done():
    stack = FakeStack()
    assert recover(stack).answers == ()
    assert stack.done == []


@pytest.mark.parametrize("step", ["refresh", "delete"])
def test_a_step_that_fails_says_how_to_go_on(step):
    with pytest.raises(PlatformError) as refused:
        recover(FakeStack(JOB, CLUSTER, refuses=step), Becoming("ACTIVE"))
    assert f"pulumi {step} failed: no" in str(refused.value)
    assert f"`pulumi destroy --stack dev --target '{JOB['resource']['urn']}'`, then" in str(refused.value)


PULUMI = """#!/bin/sh
echo "$@" >> {log}
case "$1 $2" in
  "stack export") cat {state} ;;
  "stack import") cat > {state}.new; cp {state}.new {state} ;;
esac
{more}
"""


@pytest.fixture
def pulumi(tmp_path):
    """Puts a `pulumi` on the PATH that has this state and does what is said; gives the environment."""

    def put(data, more="") -> tuple[dict[str, str], Path]:
        program, log, state = tmp_path / "pulumi", tmp_path / "log", tmp_path / "state"
        state.write_text(json.dumps(data))
        program.write_text(PULUMI.format(log=log, state=state, more=more))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}, log

    return put


def test_the_command_says_what_is_right_and_that_nothing_was_changed(pulumi):
    environ, log = pulumi(export([JOB]))
    ended = run_mlp("recover", "dev", environ=environ)
    assert ended.returncode == 3
    assert "Job job" in ended.stdout
    assert "b/a" in ended.stdout
    assert "Nothing was changed. `mlp recover dev --apply` does it." in ended.stdout
    assert "import" not in log.read_text()


def test_the_command_puts_the_state_in_order(pulumi):
    environ, log = pulumi(export([JOB]))
    ended = run_mlp("recover", "dev", "--apply", environ=environ)
    assert ended.returncode == 0
    assert "go on with `pulumi up --refresh --stack dev`" in ended.stdout
    lines = log.read_text().splitlines()
    assert [one.split(" --")[0] for one in lines] == [
        "stack export",
        "stack import",
        "refresh",
        "stack export",
        "destroy",
    ]
    assert f"--target {JOB['resource']['urn']}" in lines[4]
    assert all("--stack dev" in one and "--non-interactive" in one for one in lines)
    [entry] = json.loads((log.parent / "state.new").read_text())["deployment"]["resources"][2:]
    assert entry["id"] == "b/a"


def test_the_other_program_has_its_own_stack(pulumi):
    environ, log = pulumi(export())
    ended = run_mlp("recover", "dev", "--program", "workloads", environ=environ)
    assert ended.returncode == 0
    assert "pulumi up --refresh --stack dev --cwd stacks/workloads" in ended.stdout
    assert "stacks/workloads" in log.read_text()


def test_a_release_that_was_being_upgraded_may_be_locked(pulumi):
    environ, _ = pulumi(export([operation(RELEASE, "updating")], [RELEASE]))
    ended = run_mlp("recover", "dev", "--apply", environ=environ)
    assert "kubectl --namespace n delete secret --selector owner=helm,name=r,status=pending-upgrade" in ended.stdout


def test_the_answers_are_data(pulumi):
    environ, _ = pulumi(export([JOB]))
    ended = run_mlp("recover", "dev", "--json", "-", environ=environ)
    [one] = json.loads(ended.stdout)["operations"]
    assert (one["action"], one["id"], one["urn"]) == ("remove", "b/a", JOB["resource"]["urn"])


def test_a_state_may_be_a_file(tmp_path):
    file = tmp_path / "state.json"
    file.write_text(json.dumps(export([JOB])))
    ended = run_mlp("recover", "dev", "--state", str(file), environ={**os.environ, "PATH": ""})
    assert ended.returncode == 3
    assert "Job job" in ended.stdout


def test_ids_with_colons_are_shown_as_they_are(tmp_path):
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ml-platform/dev/[a]-b"
    file = tmp_path / "state.json"
    file.write_text(json.dumps(export([pending("aws:mq/broker:Broker", "it")])))
    ended = run_mlp("recover", "dev", "--state", str(file), "--id", f"it={arn}")
    assert arn in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["staging"], "stack 'staging' of platform has no file"),
        (["dev", "--id", "x"], "--id 'x': must be NAME=ID, or NAME= where AWS has none"),
        (["dev", "--apply", "--state", "x.json"], "--apply changes the stack, not a file"),
        (["dev", "--state", "nowhere.json"], "nowhere.json"),
    ],
)
def test_wrong_arguments_are_one_clear_line(arguments, message):
    ended = run_mlp("recover", *arguments)
    assert ended.returncode == 1
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("said", "next_step"),
    [
        ("error: the stack is currently locked by 1 lock(s).", "`pulumi cancel --stack dev`"),
        ("error: could not deserialize deployment: EOF", "-empty -delete"),
        ("error: no stack named 'dev' found", "no stack named 'dev' found"),
    ],
)
def test_what_pulumi_refuses_is_said_with_the_next_step(pulumi, monkeypatch, said, next_step):
    environ, _ = pulumi(export(), more=f'echo "{said}" >&2; exit 255')
    ended = run_mlp("recover", "dev", environ=environ, cwd=Path(__file__).resolve().parents[3])
    assert ended.returncode == 1
    assert said in ended.stderr
    assert next_step in ended.stderr


def test_a_missing_pulumi_is_one_clear_line(tmp_path):
    ended = run_mlp("recover", "dev", environ={**os.environ, "PATH": str(tmp_path)})
    assert (ended.returncode, ended.stderr) == (
        1,
        "mlp: pulumi is not on the PATH; install the pinned version and run this again\n",
    )
