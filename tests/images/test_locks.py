"""The locks of the images: all that they need, at the versions of constraints.txt."""

import ast
import re
import runpy
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sqlalchemy.engine import make_url

from infra.servers import airflow, mlflow
from infra.servers.database_url import database_url
from workloads.tuning import storage

REPOSITORY = Path(__file__).resolve().parents[2]
LOCKED = sorted(path.parent.name for path in (REPOSITORY / "images").glob("*/requirements.in"))
LINUX = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix"}
OF_THE_GPU_BUILD = ("cuda-", "nvidia-", "triton")
"""What torch needs where it is not a build for CPUs alone, as on many machines that run the tests."""


lock = SimpleNamespace(**runpy.run_path(str(REPOSITORY / "images" / "lock.py")))


def pins(text):
    """Versions by package, of a lock or constraints."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split()[0].split("==") for line in lines)


def locked(image):
    return pins((REPOSITORY / "images" / image / "requirements.lock").read_text())


def imports(path):
    """Top-level modules that a file imports, anywhere in its code."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def needed(image):
    """Names of all packages that an image's requirements need, directly or not, by what is installed here."""
    python = lock.python_version((REPOSITORY / "images" / image / "Dockerfile").read_text())
    environment = LINUX | {"python_version": python, "python_full_version": f"{python}.0"}
    text = (REPOSITORY / "images" / image / "requirements.in").read_text()
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    waiting, seen = [Requirement(line) for line in lines if line], set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            if name.startswith(OF_THE_GPU_BUILD):
                continue
            asked = environment | {"extra": extra}
            needs = map(Requirement, requires(name) or ())
            waiting += [one for one in needs if one.marker is None or one.marker.evaluate(asked)]
    return {name for name, _ in seen}


def without_gpu_build(names):
    return {name for name in names if not name.startswith(OF_THE_GPU_BUILD)}


@pytest.mark.parametrize("image", LOCKED)
def test_a_lock_holds_what_the_requirements_need_and_nothing_else(image):
    assert without_gpu_build(locked(image)) == without_gpu_build(needed(image)), "run `make locks`"


@pytest.mark.parametrize("image", LOCKED)
def test_versions_are_those_of_the_constraints(image):
    constraints = pins((REPOSITORY / "constraints.txt").read_text())
    assert {name: constraints.get(name) for name in locked(image)} == locked(image), "run `make locks`"


@pytest.mark.parametrize("image", LOCKED)
def test_every_package_of_a_lock_has_hashes(image):
    text = (REPOSITORY / "images" / image / "requirements.lock").read_text()
    assert text.startswith(lock.HEADER)
    requirement = re.compile(r"[a-z0-9-]+==[\w.]+( --hash=sha256:[0-9a-f]{64})+")
    assert [line for line in text.removeprefix(lock.HEADER).splitlines() if not requirement.fullmatch(line)] == []


def test_the_training_image_trains_on_gpus():
    assert {"nvidia-cublas", "nvidia-nccl-cu13", "triton"} <= locked("training").keys()


@pytest.mark.parametrize(("image", "code"), [("training", "workloads"), ("mlflow", "images/mlflow")])
def test_whatever_the_code_of_an_image_imports_is_in_its_lock(image, code):
    modules = {module for path in (REPOSITORY / code).rglob("*.py") for module in imports(path)}
    own = {code, *(path.stem for path in (REPOSITORY / code).glob("*.py"))}
    foreign = modules - sys.stdlib_module_names - own
    assert foreign
    providers = packages_distributions()
    in_lock = locked(image).keys()
    missing = {
        module: providers.get(module, [])
        for module in foreign
        if in_lock.isdisjoint(canonicalize_name(provider) for provider in providers.get(module, []))
    }
    assert missing == {}


ON_A_HOST: dict[str, Any] = {"user": "user", "password": "", "host": "host", "port": 5432, "database": "records"}
DATABASE_URLS = {
    "airflow": list(airflow.connections(**ON_A_HOST).values()),
    "mlflow": [database_url(mlflow.DRIVER, **ON_A_HOST)],
    "training": [database_url(storage.DRIVER, **ON_A_HOST)],
}
"""URLs of databases that each image is given, or makes of what it is given."""
OF_THE_BASE = {"airflow": {"psycopg2-binary", "asyncpg"}}
"""Drivers that come with an image's base, by what apache-airflow-providers-postgres requires."""


def test_every_image_has_the_drivers_that_its_database_urls_name():
    images = {path.parent.name for path in (REPOSITORY / "images").glob("*/Dockerfile")}
    assert DATABASE_URLS.keys() == images
    for image, urls in DATABASE_URLS.items():
        there = OF_THE_BASE.get(image) or locked(image).keys()
        for url in urls:
            dialect, _, driver = make_url(url).drivername.partition("+")
            assert dialect == "postgresql"
            assert {driver, f"{driver}-binary"} & there, f"{image} has no {driver} for {url}"


def test_the_hashes_of_all_platforms_stand_behind_a_package():
    intel = {("b", "2"): {"22", "00"}, ("a", "1"): {"11"}}
    arm = {("a", "1"): {"11"}, ("b", "2"): {"33"}}
    assert lock.lines([intel, arm]) == [
        "a==1 --hash=sha256:11",
        "b==2 --hash=sha256:00 --hash=sha256:22 --hash=sha256:33",
    ]


def test_platforms_that_need_different_packages_have_no_common_lock():
    with pytest.raises(ValueError, match=r"different packages: \[\('a', '1'\), \('a', '2'\)\]"):
        lock.lines([{("a", "1"): {"0"}}, {("a", "2"): {"0"}}])


def test_wheels_are_read_from_what_the_resolver_writes():
    wheels = [{"url": "a.whl", "hashes": {"sha256": "11"}}, {"url": "b.whl", "hashes": {"sha256": "22"}}]
    assert lock.packages({"packages": [{"name": "a", "version": "1", "wheels": wheels}]}) == {("a", "1"): {"11", "22"}}


def test_an_image_that_does_not_begin_from_python_has_no_lock():
    with pytest.raises(ValueError, match=r"FROM python:X\.Y"):
        lock.python_version("FROM apache/airflow:3.3.2-python3.12\n")
