"""One checkout: the one a user stands in."""

import pytest

from mlp.shared.checkout import REPOSITORY, find_checkout, home_folder
from mlp.shared.errors import PlatformError
from tests.command import run_mlp


def checkout(folder):
    (folder / "stacks" / "platform").mkdir(parents=True)
    (folder / "stacks" / "workloads").mkdir()
    (folder / "Pulumi.yaml").touch()
    (folder / "stacks" / "workloads" / "Pulumi.yaml").touch()
    return folder


@pytest.fixture
def clone(tmp_path):
    return checkout(tmp_path / "clone")


@pytest.mark.parametrize("below", [".", "stacks", "stacks/workloads"])
def test_the_checkout_is_the_one_around_the_working_directory(clone, below):
    assert find_checkout(clone / below, installed=clone) == clone
    assert home_folder({}, clone / below, installed=clone) == clone / ".mlp"


def test_outside_a_checkout_it_is_the_one_of_the_code(tmp_path):
    assert find_checkout(tmp_path) == REPOSITORY
    assert (REPOSITORY / "mlp" / "shared" / "checkout.py").is_file()


def test_code_that_lies_in_no_checkout_takes_the_one_around_the_working_directory(clone, tmp_path):
    assert find_checkout(clone, installed=tmp_path / "site-packages") == clone


def test_another_checkout_than_the_one_of_the_code_is_refused_with_both_names(clone):
    with pytest.raises(PlatformError) as raised:
        find_checkout(clone)
    assert str(raised.value) == (
        f"this is the mlp of {REPOSITORY}, and you are in the checkout {clone}; run {clone}/.venv/bin/mlp "
        f"(`make up` there installs it), or change into {REPOSITORY}"
    )


@pytest.mark.parametrize("arguments", [("plan", "dev"), ("status",), ("cost", "dev")], ids=" ".join)
def test_no_command_works_on_another_checkout_than_its_own(clone, arguments):
    ended = run_mlp(*arguments, cwd=clone)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"mlp: this is the mlp of {REPOSITORY}, and you are in the checkout {clone}; ")
    assert ended.stderr.count("\n") == 1


def test_a_folder_that_the_environment_names_is_the_home(clone, tmp_path):
    assert home_folder({"MLP_HOME": str(tmp_path / "other")}, clone) == tmp_path / "other"


def test_where_there_is_no_checkout_the_home_must_be_named(tmp_path):
    with pytest.raises(PlatformError, match=r"no checkout of the platform here .* set MLP_HOME"):
        home_folder({}, tmp_path, installed=tmp_path / "site-packages")
