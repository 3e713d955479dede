from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from PIL import Image

from tests.workloads.data.test_datasets import put_fashion_mnist
from workloads.data import s3
from workloads.data.datasets import check, data_location, find, load
from workloads.data.push import push
from workloads.environment import PlatformEnvironment
from workloads.errors import DataError

BUCKET = "data"
NAMES = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte", "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[PlatformEnvironment]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield PlatformEnvironment(data=f"s3://{BUCKET}/sets")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole Fashion-MNIST."""
    put_fashion_mnist(tmp_path / "mine")
    return tmp_path / "mine"


def keys() -> list[str]:
    return [item["Key"] for item in boto3.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def put_images(folder: Path, *, color: int = 0, num: int = 2) -> Path:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True, exist_ok=True)
            for number in range(num):
                Image.new("RGB", (4, 4), (color, number, ord(name[0]) + len(split))).save(
                    folder / split / name / f"{number}.png"
                )
    return folder


def test_what_was_pushed_is_found_and_the_same(here: PlatformEnvironment, folder: Path) -> None:
    done = push("fashion_mnist", here, folder)
    assert (done.url, done.num_files, done.num_uploaded) == ("s3://data/sets/fashion_mnist", 4, 4)
    assert sorted(path.name for path in find("fashion_mnist", here).iterdir()) == list(NAMES)
    assert len(load("fashion_mnist", here).train) == 6


def test_a_set_is_copied_once(here: PlatformEnvironment, folder: Path) -> None:
    push("fashion_mnist", here, folder)
    first = find("fashion_mnist", here)
    for key in keys():
        if "/files/" in key:
            boto3.client("s3").delete_object(Bucket=BUCKET, Key=key)
    assert find("fashion_mnist", here) == first


def test_a_second_push_sends_nothing_and_a_changed_one_what_has_changed(
    here: PlatformEnvironment, folder: Path
) -> None:
    push("fashion_mnist", here, folder)
    before = keys()
    assert push("fashion_mnist", here, folder).num_uploaded == 0
    assert keys() == before
    old = load("fashion_mnist", here)
    put_fashion_mnist(folder, largest_label=8)
    assert 2 <= push("fashion_mnist", here, folder).num_uploaded <= 4  # gzip keeps the time
    assert load("fashion_mnist", here).version != old.version


@pytest.mark.parametrize("is_first", [True, False], ids=["the first", "a later one"])
def test_an_upload_that_breaks_off_is_never_read_and_is_completed_by_the_next(
    here: PlatformEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    images = put_images(tmp_path / "images")
    if not is_first:
        push("image_folder", here, images)
    put_images(images, color=9, num=5)
    num_uploads, upload = 0, s3._Store.upload

    def break_off(store: s3._Store, path: Path, sha256: str) -> None:
        nonlocal num_uploads
        num_uploads += 1
        if num_uploads > 5:
            raise KeyboardInterrupt
        upload(store, path, sha256)

    with monkeypatch.context() as patch:
        patch.setattr(s3._Store, "upload", break_off)
        with pytest.raises(KeyboardInterrupt):
            push("image_folder", here, images)
    assert len([key for key in keys() if "/files/" in key]) >= 5
    if is_first:
        with pytest.raises(DataError, match="holds no whole data set image_folder"):
            find("image_folder", here)
    else:
        assert len(load("image_folder", here).train) == 4
    assert push("image_folder", here, images).num_uploaded < 20
    assert len(load("image_folder", here).train) == 10


def test_a_set_that_is_not_there_is_told_with_the_command_that_uploads_it(
    here: PlatformEnvironment, cache: Path
) -> None:
    for look in (find, check):
        with pytest.raises(
            DataError, match=r"s3://data/sets/cifar10 holds no whole data set .*`python -m workloads data push"
        ):
            look("cifar10", here)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_files_without_a_manifest_are_no_data_set(here: PlatformEnvironment, tmp_path: Path) -> None:
    for path in put_images(tmp_path / "images").rglob("*.png"):
        key = f"sets/image_folder/{path.relative_to(tmp_path / 'images').as_posix()}"
        boto3.client("s3").upload_file(str(path), BUCKET, key)
    with pytest.raises(DataError, match="holds no whole data set image_folder"):
        find("image_folder", here)


def test_a_check_copies_nothing(here: PlatformEnvironment, folder: Path, cache: Path) -> None:
    push("fashion_mnist", here, folder)
    check("fashion_mnist", here)
    check("digits", here)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_damaged_object_is_refused_and_pushed_again(here: PlatformEnvironment, folder: Path, cache: Path) -> None:
    push("fashion_mnist", here, folder)
    key = next(key for key in keys() if "/files/" in key)
    boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"other")
    with pytest.raises(DataError, match=r"files/[0-9a-f]{64} is damaged: its SHA-256 is .*data push"):
        find("fashion_mnist", here)
    assert push("fashion_mnist", here, folder).num_uploaded >= 1
    assert find("fashion_mnist", here).is_dir()


def test_what_is_damaged_or_not_whole_is_not_uploaded(here: PlatformEnvironment, folder: Path, tmp_path: Path) -> None:
    put_fashion_mnist(folder, largest_label=10)
    with pytest.raises(DataError, match="train-labels-idx1-ubyte is damaged"):
        push("fashion_mnist", here, folder)
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=f"{folder} holds no whole data set fashion_mnist; name the folder"):
        push("fashion_mnist", here, folder)
    (put_images(tmp_path / "images") / "train" / "cow").mkdir()
    with pytest.raises(DataError, match=r"same classes; one alone has \['cow'\]"):
        push("image_folder", here, tmp_path / "images")
    assert keys() == []


def test_without_a_folder_that_is_pushed_which_is_found_here(
    here: PlatformEnvironment, folder: Path, cache: Path
) -> None:
    with pytest.raises(DataError, match=r"Data set mnist is not in .*data fetch mnist"):
        push("mnist", here)
    (cache / "data").mkdir(parents=True)
    folder.rename(cache / "data" / "mnist")
    assert push("mnist", here).num_files == 4


@pytest.mark.parametrize(("data", "found"), [(None, "not set"), ("/data", "/data")])
def test_a_place_that_is_not_in_s3_is_refused(folder: Path, data: str | None, found: str) -> None:
    with pytest.raises(DataError, match=f"MLP_DATA is {found}; to upload it must be s3://BUCKET"):
        push("fashion_mnist", PlatformEnvironment(data=data), folder)


def test_digits_are_everywhere(here: PlatformEnvironment) -> None:
    with pytest.raises(DataError, match="nothing to upload"):
        push("digits", here)


def test_a_bucket_that_cannot_be_used_is_told_in_s3s_words(here: PlatformEnvironment, folder: Path) -> None:
    nowhere = replace(here, data="s3://nowhere")
    for look in (find, check):
        with pytest.raises(DataError, match=r"s3://nowhere/mnist cannot be read from S3: .*NoSuchBucket"):
            look("mnist", nowhere)
    with pytest.raises(DataError, match=r"s3://nowhere/mnist cannot be written to S3: .*NoSuchBucket"):
        push("mnist", nowhere, folder)


@pytest.mark.parametrize(
    ("manifest", "fault"),
    [
        (b"{", r"Invalid JSON"),
        (b"[]", r"should be an object"),
        (b'{"format": 2, "files": []}', r"format: Input should be 1"),
        (json.dumps({"files": [{"path": "../../x", "size": 0, "sha256": "0" * 64}]}).encode(), "must not lead out"),
        (json.dumps({"files": [{"path": "/x", "size": 0, "sha256": "0" * 64}]}).encode(), "must not lead out"),
        (json.dumps({"files": [{"path": "x", "size": 0, "sha256": "../x"}]}).encode(), "sha256: String should match"),
        (b"\xff\x00", "data push"),
    ],
    ids=["no json", "no object", "format", "above", "absolute", "digest", "bytes"],
)
def test_a_manifest_that_is_none_is_refused(here: PlatformEnvironment, manifest: bytes, fault: str) -> None:
    boto3.client("s3").put_object(Bucket=BUCKET, Key="sets/mnist/manifest.json", Body=manifest)
    with pytest.raises(DataError, match=rf"s3://data/sets/mnist/manifest.json is no list of files .*{fault}"):
        find("mnist", here)


def test_another_process_is_told_of_the_bucket_or_of_a_whole_path(
    here: PlatformEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert data_location(here) == "s3://data/sets/"
    monkeypatch.chdir(tmp_path)
    assert data_location(PlatformEnvironment(data="sets")) == str(tmp_path / "sets")
