"""The program that submits a training job: submitted once, followed to its end, submitted again to the next head."""

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from workloads.submitter import ADDRESS, JOB, Submitter

JOB_ID = "fashion-mnist-x-1"
CHUNKS = ("step 1\n", "step 2\n", "step 3\n")


@dataclass
class Head:
    """What Ray's dashboard answers of jobs. `ends` says what a job is when its log closes, a head for each entry."""

    ends: list[str]
    is_silent: bool = False
    """Whether the log never closes and, after it, nothing answers."""
    submitted: list[dict[str, str]] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    followed: int = 0
    is_deaf: bool = False

    async def version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": "4", "ray_version": "2.60.0", "ray_commit": "", "session_name": ""})

    async def health(self, _: web.Request) -> web.Response:
        if self.is_deaf:
            raise web.HTTPServiceUnavailable
        return web.Response(text="success")

    async def list_jobs(self, _: web.Request) -> web.Response:
        return web.json_response([self._details(job) for job in self.known])

    async def details(self, request: web.Request) -> web.Response:
        return web.json_response(self._details(request.match_info["job"]))

    async def submit(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.submitted.append(asked)
        self.known[asked["submission_id"]] = "RUNNING"
        return web.json_response({"job_id": asked["submission_id"], "submission_id": asked["submission_id"]})

    async def log(self, request: web.Request) -> web.WebSocketResponse:
        self.followed += 1
        connection = web.WebSocketResponse()
        await connection.prepare(request)
        for chunk in CHUNKS:
            await connection.send_str(chunk)
        if self.is_silent:
            self.is_deaf = True
            while self.is_deaf:
                await asyncio.sleep(0.05)
            return connection
        end = self.ends.pop(0)
        if end == "HEAD LOST":
            self.known.clear()
        else:
            self.known[request.match_info["job"]] = end
        await connection.close()
        return connection

    def _details(self, job: str) -> dict[str, str]:
        return {"type": "SUBMISSION", "submission_id": job, "status": self.known[job], "entrypoint": "any"}


@contextmanager
def serving(head: Head) -> Iterator[str]:
    """The address of a server that answers as `head`."""
    application = web.Application()
    application.add_routes(
        [
            web.get("/api/version", head.version),
            web.get("/api/gcs_healthz", head.health),
            web.get("/api/jobs/", head.list_jobs),
            web.post("/api/jobs/", head.submit),
            web.get("/api/jobs/{job}", head.details),
            web.get("/api/jobs/{job}/logs/tail", head.log),
        ]
    )
    loop, listening = asyncio.new_event_loop(), socket.create_server(("127.0.0.1", 0))
    runner = web.AppRunner(application, shutdown_timeout=0)
    loop.run_until_complete(runner.setup())
    loop.run_until_complete(web.SockSite(runner, listening).start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    with closing(loop):
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        head.is_deaf = False
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@pytest.fixture
def refused() -> Iterator[str]:
    """An address at which nothing answers."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{unused.getsockname()[1]}"


def submitter(address: str, **changed: float) -> Submitter:
    soon = {"head_returns_s": 0.3, "silent_s": 0.2, "looks_every_s": 0.1, "asks_every_s": 0.05} | changed
    return Submitter(words=["train", "two words", "--set", "a=1"], address=address, job=JOB_ID, **soon)  # type: ignore[arg-type]


@pytest.mark.parametrize("end", ["SUCCEEDED", "FAILED", "STOPPED"])
def test_a_command_is_submitted_once_and_its_log_shown_to_its_end_whatever_it_was(capsys, end):
    head = Head([end])
    with serving(head) as address:
        assert submitter(address).run()
    [asked] = head.submitted
    assert (asked["entrypoint"], asked["submission_id"]) == ("train 'two words' --set a=1", JOB_ID)
    assert capsys.readouterr().out == "".join(CHUNKS)


def test_a_job_that_the_head_knows_is_followed_and_not_submitted():
    head = Head(["SUCCEEDED"], known={JOB_ID: "RUNNING"})
    with serving(head) as address:
        assert submitter(address).run()
    assert not head.submitted


def test_a_log_that_ends_before_its_job_is_taken_up_where_it_was(capsys):
    head = Head(["RUNNING", "RUNNING", "RUNNING", "RUNNING", "SUCCEEDED"])
    with serving(head) as address:
        assert submitter(address).run()
    assert (len(head.submitted), head.followed) == (1, 5)
    assert capsys.readouterr().out == "".join(CHUNKS)


def test_a_new_head_gets_the_command_again_with_a_log_of_its_own(capsys):
    head = Head(["HEAD LOST", "HEAD LOST", "SUCCEEDED"])
    with serving(head) as address:
        assert submitter(address).run()
    assert len(head.submitted) == 3
    assert capsys.readouterr().out == "".join(CHUNKS * 3)


def test_heads_that_are_lost_again_and_again_end_it(capsys):
    head = Head(["HEAD LOST"] * 3)
    with serving(head) as address:
        assert not submitter(address).run()
    assert len(head.submitted) == 3
    assert "3 heads are lost: given up" in capsys.readouterr().err


def test_a_head_that_does_not_come_ends_it(capsys, refused):
    assert not submitter(refused).run()
    waiting, given_up = capsys.readouterr().err.splitlines()
    assert waiting == f"submitter: waiting for Ray at {refused}"
    assert given_up == f"submitter: no Ray at {refused} for 0 s: given up"


@pytest.mark.filterwarnings("ignore:Unclosed connection:ResourceWarning")  # Ray's client does not close it
def test_a_head_that_is_gone_without_a_word_is_noticed(capsys):
    head = Head([], is_silent=True)
    with serving(head) as address:
        assert not submitter(address).run()
    gc.collect()
    assert "is lost: no answer for 0 s" in capsys.readouterr().err


def test_a_pod_that_is_taken_away_ends_at_once_and_has_not_done_its_work(refused):
    """As the first process of a container, which has no default for the signal; exit code 0 would end the pod's Job."""
    variables = os.environ | {ADDRESS: refused, JOB: JOB_ID}
    command = [sys.executable, "-m", "workloads.submitter", "train"]
    with subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "waiting for Ray" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 143


@pytest.mark.parametrize(
    ("variables", "words", "message"),
    [
        ({}, ["train"], f"{ADDRESS} and {JOB} is missing"),
        ({ADDRESS: "head:1", JOB: "a"}, [], "the command is missing"),
    ],
)
def test_it_says_what_it_misses(variables, words, message):
    environment = {key: value for key, value in os.environ.items() if key not in {ADDRESS, JOB}} | variables
    command = [sys.executable, "-m", "workloads.submitter", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
