from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from tests.workloads.data.test_datasets import put_fashion_mnist
from workloads.data.datasets import find, load
from workloads.environment import PlatformEnvironment
from workloads.errors import DataError

BUCKET = "data"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[PlatformEnvironment]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield PlatformEnvironment(data=f"s3://{BUCKET}/sets")


def upload(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            boto3.client("s3").upload_file(str(path), BUCKET, f"sets/{path.relative_to(folder).as_posix()}")


def test_files_are_copied_once(here: PlatformEnvironment, tmp_path: Path) -> None:
    put_fashion_mnist(tmp_path / "fashion_mnist")
    upload(tmp_path)
    first = load("fashion_mnist", here)
    for item in boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]:
        boto3.client("s3").delete_object(Bucket=BUCKET, Key=item["Key"])
    assert load("fashion_mnist", here).version == first.version
    assert sorted(path.name for path in find("fashion_mnist", here).iterdir()) == sorted(
        path.name for path in (tmp_path / "fashion_mnist").iterdir()
    )


def test_a_set_that_is_not_there_is_told_and_nothing_is_kept(here: PlatformEnvironment, cache: Path) -> None:
    with pytest.raises(DataError, match=r"s3://data/sets/cifar10 holds no whole data set .* `aws s3 sync FOLDER s3:"):
        find("cifar10", here)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_what_was_missing_is_copied_when_it_has_come(here: PlatformEnvironment, tmp_path: Path) -> None:
    put_fashion_mnist(tmp_path / "fashion_mnist")
    (tmp_path / "fashion_mnist" / "t10k-labels-idx1-ubyte").unlink()
    upload(tmp_path)
    with pytest.raises(DataError, match="holds no whole data set fashion_mnist"):
        find("fashion_mnist", here, system_folder=tmp_path / "none")
    put_fashion_mnist(tmp_path / "fashion_mnist")
    upload(tmp_path)
    assert len(load("fashion_mnist", here).test) == 6


def test_a_bucket_that_cannot_be_read_is_told_in_s3s_words(here: PlatformEnvironment) -> None:
    with pytest.raises(DataError, match=r"s3://nowhere/mnist cannot be read from S3: .*NoSuchBucket"):
        find("mnist", PlatformEnvironment(data="s3://nowhere"))


def test_a_key_that_leads_out_of_the_folder_is_refused(here: PlatformEnvironment) -> None:
    boto3.client("s3").put_object(Bucket=BUCKET, Key="sets/mnist/../../../x", Body=b"")
    with pytest.raises(DataError, match="must not lead out of its folder"):
        find("mnist", here)
