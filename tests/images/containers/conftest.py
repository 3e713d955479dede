"""An engine, the images, each built from its Dockerfile, and a network with a real PostgreSQL and an S3 emulator."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from infra.data.database_bootstrap import POSTGRES_IMAGE
from infra.data.image import content_tag
from tests.builders import planned_with_airflow
from tests.images.containers.pods import Pods
from tests.images.containers.servers import (
    BUSYBOX,
    PASSWORD,
    REPOSITORY,
    S3,
    base,
    build,
    built,
    database,
    jobs,
    mlflow_accounts,
)


@pytest.fixture(scope="session")
def engine():
    """The command of a container engine that answers."""
    command = build.engine(os.environ)
    if command is None:
        pytest.skip(
            "no container engine: `make images` installs podman where it may, or CONTAINER_ENGINE names a command"
        )
    asked = subprocess.run([*command, "info"], capture_output=True, text=True, check=False)
    if asked.returncode:
        pytest.skip(
            f"the container engine does not work here: {' '.join((asked.stderr or asked.stdout).split())[-300:]}"
        )
    return command


@pytest.fixture(scope="session")
def image(engine, tmp_path_factory):
    """A function from an image's name to the image; a second name adds a pipeline to what Airflow's copies."""
    known = {}

    def build_once(name, context=REPOSITORY):
        if (name, context) not in known:
            dockerfile = context / "images" / name / "Dockerfile"
            tag = f"ml-platform/{name}:{content_tag(context, f'images/{name}/Dockerfile')}"
            known[name, context] = built(engine, dockerfile, tag, context)
        return known[name, context]

    return build_once


@pytest.fixture(scope="session")
def deployments():
    return planned_with_airflow("dev")


@pytest.fixture(scope="module")
def pods(engine, deployments, tmp_path_factory):
    """An empty network with the database and the emulator in it, and the Secrets that the plan's pods name."""
    folder = tmp_path_factory.mktemp("pods")
    [host] = {
        one["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] for one in jobs(deployments, "databases")
    }
    found = Pods(
        command=engine,
        folder=folder,
        hosts=(host, "airflow-api-server", "airflow-statsd"),
        images={"postgres": base(engine, POSTGRES_IMAGE), "busybox": base(engine, BUSYBOX)},
    )
    owners = ("mlflow", "mlflow_auth", "airflow")
    found.objects["Secret"] |= {
        "database-logins-1": {
            "PGUSER": "platform",
            "PGPASSWORD": PASSWORD,
            **{f"PASSWORD_{one}": PASSWORD for one in owners},
        },
        "mlflow-database-1": {"username": "mlflow", "password": PASSWORD},
        "mlflow-auth-database-1": {"username": "mlflow_auth", "password": PASSWORD},
        "mlflow-admin-1": {"username": "admin", "password": f"admin-{PASSWORD}"},
        "mlflow-accounts-1": {one: f"{one}-{PASSWORD}" for one in mlflow_accounts(deployments)},
        "mlflow-login-1": {"username": "workloads", "password": f"workloads-{PASSWORD}"},
    }
    try:
        found.begin()
        found.database = database(found)
        yield found
    finally:
        found.end()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def emulator(pods, engine):
    """A container with moto's S3, and the buckets of the plan in it as they are asked for."""
    [version] = [
        line for line in (REPOSITORY / "constraints.txt").read_text().splitlines() if line.startswith("moto==")
    ]
    [python] = [
        line for line in (REPOSITORY / "images/mlflow/Dockerfile").read_text().splitlines() if line.startswith("FROM ")
    ]
    place = pods.folder / "emulator"
    place.mkdir()
    install = f"RUN pip install --no-cache-dir 'moto[server,s3]=={version.partition('==')[2]}'"
    (place / "Dockerfile").write_text(f"{python}\n{install}\nUSER 65534\n")
    tag = built(engine, place / "Dockerfile", f"ml-platform/emulator:{version.partition('==')[2]}", place)
    container = pods.start_image(tag, "moto_server", "-H", "127.0.0.1", "-p", "5555")
    ask = f"import urllib.request as r; r.urlopen('{S3}/moto-api/')"
    pods.wait(container, "python", "-c", ask)
    return container
