"""What people give the programs and cannot be used ends in one message: of Pulumi, and of `mlp`."""

import ast
from pathlib import Path

import pulumi
import pytest

from infra.data.image import Image, ImageArgs
from mlp.shared.errors import PlatformError
from tests.builders import deploy

REPOSITORY = Path(__file__).resolve().parents[2]
COLLECTED = ("infra/settings/", "infra/facts/", "infra/network/addresses.py")
"""Where checks of single settings lie: pydantic collects their ValueErrors, so that all come out at once."""


def raised_names():
    """The file and the name of each exception that the programs and their components raise themselves."""
    for folder in ("infra", "stacks"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Raise) and node.exc:
                    called = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                    yield path.relative_to(REPOSITORY).as_posix(), ast.unparse(called)


def test_the_programs_raise_the_one_kind_that_pulumi_prints_without_a_traceback():
    # Not a ValueError beside it: where one leaves a function of an output, the SDK packs it into its own.
    assert not issubclass(pulumi.RunError, ValueError)
    found = list(raised_names())
    assert len(found) > 10
    assert {name for path, name in found if not path.startswith(COLLECTED)} == {"pulumi.RunError"}
    assert {name for path, name in found if path.startswith(COLLECTED)} == {"pulumi.RunError", "ValueError"}


def test_a_fault_in_a_dockerfile_is_one_message(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nADD code /code\n")
    args = ImageArgs(repository_url="registry.example.com/server", context=tmp_path, dockerfile="Dockerfile")
    with pytest.raises(PlatformError, match=r"^`ADD code /code` does not tell which files it takes"):
        deploy(lambda: Image("server", args))
