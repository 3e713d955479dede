"""The command as people run it."""

import json
import logging
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from textwrap import indent

import pytest
import yaml
from botocore import xform_name
from moto.server import ThreadedMotoServer

from tests.command import run_mlp
from tests.mlp.account.builders import FakeCostExplorer


def mlp(*arguments, **variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = {**kept, "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, **variables}
    return run_mlp(*arguments, environ=environment)


def refused(result):
    assert (result.returncode, result.stdout) == (1, "")
    assert "Traceback" not in result.stderr
    return result.stderr


def test_without_credentials_it_says_so():
    said = refused(mlp("bootstrap", "--repository", "team/platform", AWS_EC2_METADATA_DISABLED="true"))
    assert "no AWS credentials were found" in said


def test_a_profile_that_does_not_exist_is_named():
    assert "(nowhere) could not be found" in refused(mlp("bootstrap", "--repository", "a/b", AWS_PROFILE="nowhere"))


def test_half_a_login_is_said():
    said = refused(mlp("bootstrap", "--repository", "a/b", AWS_ACCESS_KEY_ID="test"))
    assert "missing: AWS_SECRET_ACCESS_KEY" in said


def test_files_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "config").write_text("[profile")
    said = refused(mlp("bootstrap", "--repository", "a/b", AWS_CONFIG_FILE=str(tmp_path / "config")))
    assert f"{tmp_path / 'config'}" in said


def test_malformed_options_are_all_named():
    said = refused(mlp("bootstrap", "--repository", "a", "--email", "b", "--zone", "c"))
    assert "3 options are to be corrected" in said
    assert [line.split()[0] for line in said.splitlines()[1:]] == ["--repository", "--email", "--zone"]


@pytest.fixture
def aws():
    """The variables that lead to an emulated account: moto, and a fake Cost Explorer behind a port of its own."""
    ce = FakeCostExplorer()

    class CostExplorer(BaseHTTPRequestHandler):
        def do_POST(self):
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps(getattr(ce, xform_name(operation))(**given)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            """Nothing."""

    costs = ThreadingHTTPServer(("127.0.0.1", 0), CostExplorer)
    threading.Thread(target=costs.serve_forever, daemon=True).start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ENDPOINT_URL_COST_EXPLORER": f"http://127.0.0.1:{costs.server_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    moto.stop()
    costs.shutdown()
    costs.server_close()


def test_the_result_is_a_table_with_what_to_do_next_and_the_same_as_data(aws):
    asked = ("bootstrap", "--repository", "team/platform", "--email", "you@example.org", "--zone", "ml.example.org")
    shown = mlp(*asked, **aws)
    assert shown.returncode == 0, shown.stderr
    told = json.loads(mlp(*asked, "--json", "-", **aws).stdout)
    assert {one["state"] for one in told["things"]} == {"kept", "waiting"}
    rows = [line for line in shown.stdout.splitlines() if " created " in line]
    assert len(rows) == len([one for one in told["things"] if one["state"] == "kept"])
    assert not [one["id"] for one in told["things"] if one["id"] not in shown.stdout]
    for settings in told["stack_settings"].values():
        assert indent(yaml.safe_dump(settings, width=1000), "    ") in shown.stdout


def test_the_data_is_written_to_a_file(aws, tmp_path):
    file = tmp_path / "account.json"
    result = mlp("bootstrap", "--repository", "a/b", "--environment", "dev", "--json", str(file), **aws)
    assert result.returncode == 0, result.stderr
    assert list(json.loads(file.read_text())["stack_settings"]) == [
        "Pulumi.dev.yaml",
        "stacks/workloads/Pulumi.dev.yaml",
    ]
    assert list(tmp_path.iterdir()) == [file]
