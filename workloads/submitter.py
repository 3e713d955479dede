"""Submits a command to the Ray cluster of a RayJob, follows its log, and submits it again where the head is lost.

`python -m workloads.submitter WORD...` is the program of the pod that KubeRay starts beside a job's cluster. KubeRay
names the cluster and the job in two variables, and asks Ray itself how the job went: this program ends with 0 whatever
the command did. Where it ends before the command, since no head comes any more, KubeRay 1.7 takes the job for failed
half a minute later.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.request import urlopen

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

ADDRESS = "RAY_DASHBOARD_ADDRESS"
JOB = "RAY_JOB_SUBMISSION_ID"


@dataclass(kw_only=True)
class Submitter:
    """A command, `words`, on its way to the end as `job`, of which KubeRay asks the head at `address` (HOST:PORT)."""

    words: Sequence[str]
    address: str
    job: str
    most_submissions: int = 3
    """Heads that get the command; all but the first replace one that was lost."""
    head_returns_s: float = 900
    """Seconds that a lost head may take to be back; it may need a new node."""
    silent_s: float = 300
    """Seconds without an answer after which a head that never closed the log is lost."""
    looks_every_s: float = 30
    """Seconds between questions to a head whose log is silent."""
    asks_every_s: float = 2
    """Seconds between questions to a head that is awaited."""

    def __post_init__(self) -> None:
        self._submissions = 0
        self._printed = 0  # characters of this head's log

    def run(self) -> bool:
        """Return whether the command ended, however; False where no head came any more, or one too many was lost."""
        from aiohttp import ClientError

        while (client := self._head()) is not None:
            try:
                if not self._is_known_to(client):
                    if self._submissions == self.most_submissions:
                        _say(f"{self._submissions} heads are lost: given up")
                        return False
                    client.submit_job(entrypoint=shlex.join(self.words), submission_id=self.job)
                    self._submissions, self._printed = self._submissions + 1, 0
                    _say(f"submitted to Ray at {self.address}: {shlex.join(self.words)}")
                asyncio.run(self._follow(client))
                # A head that is told to stop ends the log as if the job had ended (Ray 2.60).
                if client.get_job_status(self.job).is_terminal():
                    return True
                _say("the log has ended before the job")
            except (ClientError, OSError, RuntimeError) as error:
                _say(f"Ray at {self.address} is lost: {error}")
            time.sleep(self.asks_every_s)
        _say(f"no Ray at {self.address} for {self.head_returns_s:.0f} s: given up")
        return False

    def _head(self) -> JobSubmissionClient | None:
        """Return a client of the head as soon as it answers."""
        from ray.job_submission import JobSubmissionClient

        given_up = time.monotonic() + self.head_returns_s
        is_told = False
        while time.monotonic() < given_up:
            if self._answers():
                try:
                    return JobSubmissionClient(f"http://{self.address}")
                except (OSError, RuntimeError) as error:
                    _say(f"Ray at {self.address} refuses: {error}")
            elif not is_told:
                _say(f"waiting for Ray at {self.address}")
                is_told = True
            time.sleep(self.asks_every_s)
        return None

    def _answers(self) -> bool:
        try:
            with urlopen(f"http://{self.address}/api/gcs_healthz", timeout=5):
                return True
        except OSError:
            return False

    def _is_known_to(self, client: JobSubmissionClient) -> bool:
        return any(one.submission_id == self.job for one in client.list_jobs())

    async def _follow(self, client: JobSubmissionClient) -> None:
        """Print what the log has beyond what was printed, until the head closes it or is silent for too long."""
        chunks = aiter(client.tail_job_logs(self.job))
        passed, heard = 0, time.monotonic()
        waiting = asyncio.ensure_future(anext(chunks, None))
        while True:
            await asyncio.wait({waiting}, timeout=self.looks_every_s)
            if is_heard := waiting.done():
                if (chunk := waiting.result()) is None:
                    return
                sys.stdout.write(chunk[max(0, self._printed - passed) :])
                sys.stdout.flush()
                passed += len(chunk)
                self._printed = max(self._printed, passed)
                waiting = asyncio.ensure_future(anext(chunks, None))
            if is_heard or await asyncio.to_thread(self._answers):
                heard = time.monotonic()
            elif time.monotonic() - heard > self.silent_s:
                waiting.cancel()
                raise ConnectionError(f"no answer for {self.silent_s:.0f} s")


def _say(line: str) -> None:
    sys.stderr.write(f"submitter: {line}\n")


def _stop(number: int, _frame: object) -> None:
    """End with an error: to the pod's Job a pod that is taken away has not done its work, and it makes another one."""
    sys.exit(128 + number)


def main() -> None:
    """Run the command that the arguments are."""
    missing = [name for name in (ADDRESS, JOB) if name not in os.environ]
    if missing or not sys.argv[1:]:
        _say(f"started by KubeRay with a command as arguments; {' and '.join(missing) or 'the command'} is missing")
        sys.exit(2)
    signal.signal(signal.SIGTERM, _stop)
    Submitter(words=sys.argv[1:], address=os.environ[ADDRESS], job=os.environ[JOB]).run()


if __name__ == "__main__":
    main()
