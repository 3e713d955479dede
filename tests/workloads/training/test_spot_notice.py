"""The notice that a spot machine gets, from a metadata service that behaves as EC2's."""

from __future__ import annotations

import http.server
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from workloads.config import TrainConfig
from workloads.environment import PlatformEnvironment
from workloads.errors import Preempted, WorkloadError
from workloads.ranks import Ranks
from workloads.training.options import TrainOptions
from workloads.training.run import run
from workloads.training.spot_notice import SpotNotice, spot_notice

ConfigBuilder = Callable[..., TrainConfig]


class Metadata(http.server.BaseHTTPRequestHandler):
    """Gives a token to who asks with PUT and a lifetime, and the notice, once there is one, to who shows it."""

    is_going = False

    def do_PUT(self) -> None:
        has_lifetime = "X-aws-ec2-metadata-token-ttl-seconds" in self.headers
        self._answer(200 if has_lifetime and self.path == "/latest/api/token" else 400, b"token")

    def do_GET(self) -> None:
        is_known = self.headers.get("X-aws-ec2-metadata-token") == "token"
        is_there = self.is_going and self.path == "/latest/meta-data/spot/instance-action"
        self._answer(401 if not is_known else 200 if is_there else 404, b'{"action": "terminate"}')

    def log_message(self, *arguments: object) -> None:
        """Nothing."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def metadata() -> Iterator[tuple[int, type[Metadata]]]:
    """Its port, and what it says."""

    class Own(Metadata):
        pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, Own
        server.shutdown()


def test_a_run_on_a_spot_machine_that_is_going_is_saved_and_ends(
    metadata: tuple[int, type[Metadata]],
    digits_config: ConfigBuilder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port, service = metadata
    monkeypatch.setattr("workloads.training.spot_notice.POLL_EVERY_S", 0.01)
    config = digits_config({"epochs": 100_000, "data.num_train": 50, "model.width": 4})
    here = PlatformEnvironment(checkpoints=str(tmp_path), instance_metadata=f"http://127.0.0.1:{port}")
    quiet = TrainOptions(run_name="a", tracking=False, register=False, test=False)

    def go(*_: object) -> None:
        service.is_going = True

    with pytest.raises(Preempted, match=r"after step \d+ of .* train --resume a"):
        run(config, quiet, here, Ranks(), go)
    assert list((tmp_path / "a" / "checkpoints").glob("*.json"))


def test_without_a_notice_nothing_ends(metadata: tuple[int, type[Metadata]]) -> None:
    port, service = metadata
    with SpotNotice("127.0.0.1", port, every_s=0.01) as notice:
        assert not notice._poll()
        service.is_going = True
        assert notice._poll()


def test_a_service_that_does_not_answer_is_told_once_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with SpotNotice("127.0.0.1", 1, every_s=0.01) as notice:
        while not caplog.messages:
            notice._stopped.wait(0.01)
        notice._stopped.wait(0.1)
    assert not notice.is_given
    assert len(caplog.messages) == 1
    assert "MLP_INSTANCE_METADATA does not answer at 127.0.0.1:1" in caplog.text


@pytest.mark.parametrize("given", ["169.254.169.254", "https://169.254.169.254", "http://", "http://[", "http://a:b"])
def test_what_is_no_address_of_a_metadata_service_is_refused(given: str) -> None:
    here = replace(PlatformEnvironment(), instance_metadata=given)
    with pytest.raises(WorkloadError, match=r"MLP_INSTANCE_METADATA is .* on EC2 it is http://169\.254\.169\.254"):
        spot_notice(here)
