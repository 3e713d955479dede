from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from workloads.checkpoints.store import FolderStore, S3Store, Store, child_location, open_store
from workloads.errors import CheckpointError

BUCKET = "checkpoints"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield f"s3://{BUCKET}"


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    place = str(tmp_path) if request.param == "folder" else request.getfixturevalue("bucket")
    return open_store(child_location(place, "runs/a"))


def test_a_file_is_read_as_it_was_written_last(store: Store) -> None:
    store.write("checkpoints/1.pt", b"first")
    store.write("checkpoints/1.pt", b"second")
    assert store.read("checkpoints/1.pt") == b"second"


def test_a_file_that_is_not_there_is_none_and_may_be_deleted(store: Store) -> None:
    assert store.read("nothing") is None
    store.delete("nothing")


def test_names_are_sorted_and_those_of_a_prefix_alone(store: Store) -> None:
    for name in ("b/2", "b/1", "a/1", "run.json"):
        store.write(name, b"x")
    assert store.names("b/") == ["b/1", "b/2"]
    store.delete("b/1")
    assert store.names("") == ["a/1", "b/2", "run.json"]


def test_a_new_file_is_put_once(store: Store) -> None:
    assert store.write_new("run.json", b"mine")
    assert not store.write_new("run.json", b"yours")
    assert store.read("run.json") == b"mine"


def test_of_many_that_claim_a_name_in_a_folder_one_gets_it(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda number: store.write_new("run.json", b"%d" % number), range(40)))
    assert sum(got) == 1
    assert store.read("run.json") == b"%d" % got.index(True)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(tmp_path)
    store.write("1.pt", b"whole")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.write("1.pt", b"new")
    assert store.read("1.pt") == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["1.pt"]


def test_many_objects_are_listed_in_several_pages(bucket: str) -> None:
    client = boto3.client("s3")
    for number in range(1005):
        client.put_object(Bucket=BUCKET, Key=f"runs/{number:04}", Body=b"")
    assert len(open_store(f"{bucket}/runs").names("")) == 1005


def test_a_bucket_that_is_not_there_is_told_in_s3s_words(bucket: str) -> None:
    with pytest.raises(CheckpointError, match=r"s3://nowhere/a/run.json: .*bucket does not exist"):
        S3Store("nowhere", "a").write("run.json", b"x")


@pytest.mark.parametrize("place", ["gs://bucket/runs", "s3:///runs"])
def test_another_kind_of_place_is_refused(place: str) -> None:
    with pytest.raises(CheckpointError, match="use a folder or s3://BUCKET/PREFIX"):
        open_store(place)
