"""What stands around the pods of a test: engine, images, database and emulator."""

from __future__ import annotations

import datetime
import json
import os
import runpy
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.builders import inputs_of

REPOSITORY = Path(__file__).resolve().parents[3]
BUSYBOX = "docker.io/library/busybox:1.38.0"
PASSWORD = "of-tests"
PULL_S = 300
S3 = "http://127.0.0.1:5555"
ON_THE_EMULATOR = {
    "AWS_ENDPOINT_URL": S3,
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "AWS_REGION": "us-east-1",
}
"""What stands for a role in a cluster, and for AWS."""
build = SimpleNamespace(**runpy.run_path(str(REPOSITORY / "images" / "build.py")))


def base(engine, reference):
    """The image that the engine has for a reference, or what stands in for it; without one the test cannot be."""
    if stand_in := build.stand_ins(os.environ).get(build.repository(reference)):
        return stand_in
    if subprocess.run([*engine, "image", "inspect", reference], capture_output=True, check=False).returncode:
        try:
            pull = [*engine, "pull", "--quiet", reference]
            subprocess.run(pull, capture_output=True, text=True, check=True, timeout=PULL_S)
        except subprocess.CalledProcessError as error:
            why = " ".join(error.stderr.split())[-200:]
        except subprocess.TimeoutExpired:
            why = f"it could not be pulled in {PULL_S} s"
        else:
            return reference
        name = reference.partition("@")[0]
        pytest.skip(f"no image {name}: {why}; IMAGE_BASES may name one that stands in for it")
    return reference


def built(engine, dockerfile, tag, context):
    """Build an image and return its tag; a build that fails is a failure of the test."""
    for line in dockerfile.read_text().splitlines():
        if line.startswith("FROM "):
            base(engine, line.split()[1])
    command = build.build_command(engine, dockerfile, tag, context, build.stand_ins(os.environ))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return tag


def jobs(deployments, name):
    """The inputs of a Job of the plan, by its logical name."""
    return [
        one[name]
        for one in (inputs_of(deployment, "kubernetes:batch/v1:Job") for deployment in deployments)
        if name in one
    ]


def job_pod(deployments, name):
    """The pod of a Job of the plan."""
    [job] = jobs(deployments, name)
    return job["spec"]["template"]["spec"]


def mlflow_accounts(deployments):
    """The permission of each account that the plan's Job makes."""
    [container] = job_pod(deployments, "mlflow-accounts-job")["containers"]
    [told] = [one["value"] for one in container["env"] if one["name"] == "ACCOUNTS"]
    return json.loads(told)


def database(pods):
    """Start PostgreSQL with TLS, as RDS has it, and return its container."""
    certificate(pods.folder)
    postgres = pods.images["postgres"]
    user = pods.call("run", "--rm", "--entrypoint", "id", postgres, "-u", "postgres").strip()
    start = (
        'mkdir /tmp/data && cp /tls/key /tmp/key && chmod 600 /tmp/key && echo "$WORD" > /tmp/word && '
        "initdb -D /tmp/data -U platform --auth=scram-sha-256 --pwfile=/tmp/word > /dev/null && exec postgres "
        "-D /tmp/data -c ssl=on -c ssl_cert_file=/tls/certificate -c ssl_key_file=/tmp/key -c fsync=off "
        "-c unix_socket_directories=/tmp"
    )
    options = [
        "--user",
        user,
        "--env",
        f"WORD={PASSWORD}",
        "--volume",
        f"{pods.folder}/tls:/tls:ro",
        "--entrypoint",
        "sh",
    ]
    container = pods.start_image(postgres, "-ec", start, options=options)
    pods.wait(container, "pg_isready", "--host", "127.0.0.1")
    return container


def certificate(folder):
    """Write a key and a certificate that nobody checks: `require` asks for TLS alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "database")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    signed = made.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    (folder / "tls").mkdir()
    encoding = serialization.Encoding.PEM
    (folder / "tls" / "certificate").write_bytes(signed.public_bytes(encoding))
    written = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "tls" / "key").write_bytes(written)


def bucket(pods, emulator, name):
    """Make a bucket."""
    pods.inside(emulator, "python", "-c", f"{_CLIENT}; s3.create_bucket(Bucket='{name}')")


def keys(pods, emulator, name):
    """Every key of a bucket."""
    listed = (
        f"{_CLIENT}; print(json.dumps([one['Key'] for one in s3.list_objects_v2(Bucket='{name}').get('Contents', [])]))"
    )
    return pods.python(emulator, listed)


def wait_for_key(pods, emulator, name, prefix, suffix):
    """Wait until a bucket has a key that begins and ends so."""
    found = f"s3.list_objects_v2(Bucket='{name}', Prefix='{prefix}').get('Contents', [])"
    pods.wait(emulator, "python", "-c", f"{_CLIENT}; assert [1 for one in {found} if one['Key'].endswith('{suffix}')]")


_CLIENT = (
    f"import json, boto3; s3 = boto3.client('s3', endpoint_url='{S3}', region_name='us-east-1', "
    "aws_access_key_id='a', aws_secret_access_key='b')"
)
