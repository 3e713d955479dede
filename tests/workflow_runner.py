"""What tests of the workflows' scripts share: a checkout with stand-ins for `mlp`, `pulumi` and `gh`."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.test_workflows import GITHUB, WORKFLOWS

STAND_IN = f"""#!{sys.executable}
import json, os, sys
from pathlib import Path
here = Path(os.environ["STAND_INS"])
name, *words = Path(sys.argv[0]).name, *sys.argv[1:]
read = {{at: Path(words[at + 1]).read_text() for at, word in enumerate(words) if word in ("--input", "--body-file")}}
with (here / "calls").open("a") as calls:
    calls.write(json.dumps([name, words, [*read.values()]]) + "\\n")
for start, code, said, written in json.loads((here / "answers").read_text()):
    if " ".join([name, *words]).startswith(start):
        if written is not None:
            Path(words[words.index("--markdown") + 1]).write_text(written)
        sys.stdout.buffer.write(bytes.fromhex(said))
        sys.exit(code)
"""
needs_jq = pytest.mark.skipif(not (shutil.which("jq") and shutil.which("unzip")), reason="jq or unzip is not installed")


class Runner:
    """A checkout in an empty folder; `answers` begin with the words of the call that they are for, the first fits."""

    def __init__(self, folder):
        self.folder = folder
        self.answers = []
        self.summary = folder / "summary"
        (folder / ".venv/bin").mkdir(parents=True)
        (folder / ".github").symlink_to(GITHUB)
        for name in ("mlp", "pulumi", "gh"):
            (folder / ".venv/bin" / name).write_text(STAND_IN)
            (folder / ".venv/bin" / name).chmod(0o755)

    def answer(self, start, said="", code=0, written=None):
        content = said if isinstance(said, bytes) else said.encode()
        self.answers.append([start, code, content.hex(), written])

    def run(self, workflow, job, step, **variables):
        """Run one step's script as GitHub does; answers its exit code."""
        [found] = [one for one in WORKFLOWS[workflow]["jobs"][job]["steps"] if one.get("name") == step]
        (self.folder / "answers").write_text(json.dumps(self.answers))
        (self.folder / "script").write_text(found["run"])
        environment = {
            "PATH": f"{self.folder / '.venv/bin'}:{os.environ['PATH']}",
            "STAND_INS": str(self.folder),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_REPOSITORY": "team/platform",
            **variables,
        }
        assert set(found.get("env", {})) == set(variables), "what the workflow hands over"
        options = ["--noprofile", "--norc", "-eo", "pipefail"] if found.get("shell") == "bash" else ["-e"]
        self.result = subprocess.run(
            ["bash", *options, "script"],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return self.result.returncode

    def calls(self, name):
        """The words of each call of one command."""
        file = self.folder / "calls"
        made = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [" ".join(words) for one, words, _ in made if one == name]

    def texts(self):
        """What was handed to `gh` in files."""
        return [text for line in (self.folder / "calls").read_text().splitlines() for text in json.loads(line)[2]]

    def written(self, name):
        return (self.folder / name).read_text()
