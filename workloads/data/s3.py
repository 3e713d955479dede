"""Copies of data sets' files from S3. Region, endpoint and login are those of the environment."""

from __future__ import annotations

import logging
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from workloads.errors import DataError

logger = logging.getLogger(__name__)
MAX_CONCURRENT_FILES = 16
"""Files that are copied concurrently; a large one comes in parts, ten at a time, as well."""


def is_s3_url(url: str) -> bool:
    """Return whether the location is an `s3://bucket/prefix`."""
    return url.startswith("s3://")


def copy(url: str, folder: Path) -> None:
    """Copy all files below `url` into `folder`, which appears when all are complete; raise DataError."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    parts = urlsplit(url)
    bucket, prefix = parts.netloc, f"{parts.path.strip('/')}/"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".copy-", dir=folder.parent) as temporary:
        try:
            client = boto3.client("s3")
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            keys = [item["Key"] for page in pages for item in page.get("Contents", []) if item["Key"][-1] != "/"]
            targets = {key: Path(temporary, "files", key.removeprefix(prefix)) for key in keys}
            for path in targets.values():
                if not path.resolve().is_relative_to(Path(temporary).resolve()):
                    raise DataError(f"{url}: a key must not lead out of its folder, as {path.name} does")
                path.parent.mkdir(parents=True, exist_ok=True)
            logger.info("copying %d files from %s", len(keys), url)
            with ThreadPoolExecutor(MAX_CONCURRENT_FILES) as pool:
                list(pool.map(lambda item: client.download_file(bucket, item[0], str(item[1])), targets.items()))
        except (BotoCoreError, ClientError) as error:
            raise DataError(f"{url} cannot be read from S3: {error}") from error
        if not keys:
            return
        try:
            Path(temporary, "files").rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
            # Another process was faster, or the folder is incomplete: replace its files.
            for key, path in targets.items():
                target = folder / key.removeprefix(prefix)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
