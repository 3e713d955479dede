"""The local stack applied to an emulator behind a port."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest

from infra.contracts import PlatformOutputs
from mlp.local.apply import apply_platform
from mlp.shared.errors import PlatformError


def client(service: str, server_url: str) -> Any:
    return boto3.client(  # type: ignore[call-overload]  # typed for literal names alone
        service,
        region_name="us-east-1",
        endpoint_url=server_url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


class OtherServer(BaseHTTPRequestHandler):
    """A server that is not the emulator; `answer` is all it ever says."""

    answer = b""

    def do_POST(self) -> None:
        self.wfile.write(self.answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        pass


@contextmanager
def serving(answer: bytes) -> Iterator[str]:
    """The URL of a server that gives `answer` to every request."""
    handler = type("Handler", (OtherServer,), {"answer": answer})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.usefixtures("emulator_environment")
def test_an_emulator_that_holds_a_platform_is_emptied_and_applied_again(server_url: str) -> None:
    client("ec2", server_url).create_vpc(CidrBlock="10.0.0.0/16")
    client("ecr", server_url).create_repository(repositoryName="ml-platform/local/training")
    outputs = apply_platform(f"{server_url}/")

    assert set(outputs) == {field.name for field in fields(PlatformOutputs)}
    json.dumps(outputs)
    assert json.loads(outputs["kubeconfig"])["kind"] == "Config"
    vpcs = client("ec2", server_url).describe_vpcs()["Vpcs"]
    assert [vpc["VpcId"] for vpc in vpcs if not vpc["IsDefault"]] == [outputs["vpc_id"]]
    buckets = client("s3", server_url).list_buckets()["Buckets"]
    kinds = ("artifact_bucket", "dataset_bucket", "log_bucket")
    assert {bucket["Name"] for bucket in buckets} == {outputs[kind] for kind in kinds}
    for kind in kinds:  # objects come without TLS here, and are taken all the same
        for key in ("mlflow/model", "registry/m/00000001.json", "AWSLogs/1"):
            client("s3", server_url).put_object(Bucket=outputs[kind], Key=key, Body=b"content")
    login = client("secretsmanager", server_url).get_secret_value(SecretId=outputs["database_secret_arn"])
    assert json.loads(login["SecretString"])["host"] == outputs["database_host"]


def test_without_an_emulator_the_endpoint_and_the_next_step_are_named() -> None:
    expected = r"no AWS emulator .* answers at http://127\.0\.0\.1:9: .*`mlp up --with aws`"
    with pytest.raises(PlatformError, match=expected):
        apply_platform("http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b'HTTP/1.0 200 OK\r\n\r\n{"status": "hungry"}', "hungry"),
        (b"HTTP/1.0 404 Not Found\r\n\r\n", "404"),
        (b"SSH-2.0-server\r\n", "SSH-2.0-server"),
    ],
    ids=["another-answer", "not-found", "not-http"],
)
def test_another_server_is_not_taken_for_the_emulator(answer: bytes, expected: str) -> None:
    with serving(answer) as url, pytest.raises(PlatformError) as fault:
        apply_platform(url)

    assert url in str(fault.value)
    assert expected in str(fault.value)


def test_another_machine_is_not_asked_at_all() -> None:
    with pytest.raises(PlatformError, match="is not on this machine"):
        apply_platform("http://192.0.2.1:4566")
