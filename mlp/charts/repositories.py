"""Charts of repositories: over HTTP with an index, and as OCI artifacts."""

from __future__ import annotations

import hashlib
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import yaml

from infra.facts.charts import Chart
from mlp.charts import yaml_text

OCI = "oci://"
TIMEOUT_S = 30
MAX_ARCHIVE_BYTES = 64 * 1024**2
MAX_INDEX_BYTES = 256 * 1024**2
"""Largest index, in bytes. Indexes keep every version that there ever was; the largest known has some 20 MiB."""
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CHART_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class DownloadError(Exception):
    """Failure of a download: its address, and the reason."""

    def __init__(self, url: str, reason: object) -> None:
        super().__init__(f"{url}: {reason}")


@dataclass(frozen=True)
class _Answer:
    body: bytes
    headers: Mapping[str, str]


class Repositories:
    """Client of chart repositories; an index is read once."""

    def __init__(self) -> None:
        self._indexes: dict[str, Mapping[str, Any] | DownloadError] = {}

    def archive(self, chart: Chart) -> bytes:
        """Return the chart's archive, verified against its repository's digest. Raise DownloadError."""
        if chart.repository.startswith(OCI):
            return _from_registry(chart)
        index_url = f"{chart.repository.rstrip('/')}/index.yaml"
        entry = _entry(self._index(index_url), chart, index_url)
        url = urljoin(index_url, entry["urls"][0])
        body = _get(url, limit=MAX_ARCHIVE_BYTES).body
        _verify_digest(body, str(entry["digest"]), url)
        return body

    def _index(self, url: str) -> Mapping[str, Any]:
        if url not in self._indexes:
            try:
                self._indexes[url] = _read_index(url)
            except DownloadError as error:
                self._indexes[url] = error  # no second wait for a repository that does not answer
        found = self._indexes[url]
        if isinstance(found, DownloadError):
            raise found
        return found


def _read_index(url: str) -> Mapping[str, Any]:
    body = _get(url, limit=MAX_INDEX_BYTES).body
    try:
        entries = yaml_text.mapping(body.decode()).get("entries")
    except (ValueError, yaml.YAMLError):
        entries = None
    if not isinstance(entries, Mapping):
        raise DownloadError(url, "it is not the index of a chart repository")
    return entries


def _entry(index: Mapping[str, Any], chart: Chart, url: str) -> Mapping[str, Any]:
    versions = [one for one in index.get(chart.name) or () if isinstance(one, Mapping)]
    for one in versions:
        if str(one.get("version")) == chart.version:
            if not one.get("urls") or not one.get("digest"):
                raise DownloadError(url, f"{chart.name} {chart.version} has no address or no digest there")
            return one
    newest = ", ".join(str(one.get("version")) for one in versions[:3]) or "none"
    raise DownloadError(url, f"it has no {chart.name} {chart.version}; the first it has are: {newest}")


def _from_registry(chart: Chart) -> bytes:
    """Download a chart from an OCI registry, as an anonymous user.

    https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pull
    """
    place = urlsplit(chart.repository)
    path = place.path.strip("/")
    repository = path if path.rpartition("/")[2] == chart.name else f"{path}/{chart.name}".lstrip("/")
    scheme = "http" if place.hostname in _LOOPBACK else "https"
    base = f"{scheme}://{place.netloc}/v2/{repository}"
    url = f"{base}/manifests/{chart.version.replace('+', '_')}"  # as Helm writes a tag
    token, answer = _get_with_login(url, {"Accept": _MANIFEST})
    try:
        layers = {one["mediaType"]: str(one["digest"]) for one in json.loads(answer.body)["layers"]}
        digest = layers[_CHART_LAYER]
    except (ValueError, TypeError, KeyError):
        raise DownloadError(url, "it is not a chart") from None
    blob = f"{base}/blobs/{digest}"
    body = _get(blob, token=token, limit=MAX_ARCHIVE_BYTES).body
    _verify_digest(body, digest, blob)
    return body


def _get_with_login(url: str, headers: Mapping[str, str]) -> tuple[str | None, _Answer]:
    try:
        return None, _get(url, headers=headers, limit=MAX_ARCHIVE_BYTES)
    except DownloadError as error:
        refused = error.__cause__
        if not isinstance(refused, urllib.error.HTTPError) or refused.code != 401:
            raise
        challenge = dict(re.findall(r'(\w+)="([^"]*)"', refused.headers.get("WWW-Authenticate", "")))
        if "realm" not in challenge:
            raise
    asked = urlencode({key: challenge[key] for key in ("service", "scope") if key in challenge})
    realm = challenge["realm"]
    given = _get(f"{realm}?{asked}" if asked else realm, limit=MAX_ARCHIVE_BYTES).body
    try:
        login = json.loads(given)
        token = str(login.get("token") or login["access_token"])
    except (ValueError, AttributeError, KeyError):
        raise DownloadError(realm, "it gave no token") from None
    return token, _get(url, headers=headers, token=token, limit=MAX_ARCHIVE_BYTES)


def _get(url: str, *, limit: int, headers: Mapping[str, str] | None = None, token: str | None = None) -> _Answer:
    if urlsplit(url).scheme not in ("https", "http"):
        raise DownloadError(url, "only http and https addresses are fetched")
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310  the scheme was just looked at
    if token:
        # A registry sends its clients on to a store of blobs, which is not to see the login.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310  as above
            body = answer.read(limit + 1)
            if len(body) > limit:
                raise DownloadError(url, f"it is larger than {limit // 1024**2} MiB")
            return _Answer(body, dict(answer.headers))
    except urllib.error.HTTPError as error:
        error.close()
        raise DownloadError(url, f"HTTP {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        raise DownloadError(url, getattr(error, "reason", None) or error) from error


def _verify_digest(body: bytes, digest: str, url: str) -> None:
    wanted, found = digest.removeprefix("sha256:"), hashlib.sha256(body).hexdigest()
    if found != wanted:
        raise DownloadError(url, f"its sha256 is {found}, and the repository says {wanted}")
