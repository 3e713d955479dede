"""Symbols for what changes with every commit; otherwise no committed plan would ever be current.

An image's tag is a hash of its sources and its digest one of its content. Both go from the image into Helm values,
manifests and outputs, and into the names of Jobs that are recreated for a new image. In a plan they read `<sources
training>` and `<image training>`, and such a Job's name ends in `<inputs>`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mlp.engine.cloud import hex_digits
from mlp.engine.values import Secret

IMAGE = "docker-build:index:Image"
_JOB = "kubernetes:batch/v1:Job"
_CONTENT_TAG = re.compile(r":([0-9a-f]{16})$")
"""Pattern of the tags that `infra.data.image.content_tag` makes; a tag of another form was given by hand and is
shown."""
_HASHED_NAME = re.compile(r"^(.+-)[0-9a-f]{10}$")


def symbols(resources: Iterable[tuple[str, str, str, Mapping[str, Any]]]) -> dict[str, str]:
    """Return the symbol of each hash, from the URN, type, name and inputs of every resource of a program."""
    everything = list(resources)
    found: dict[str, str] = {}
    for urn, type_, name, inputs in everything:
        if type_ == IMAGE:
            image = name.removesuffix("-build")
            found[f"sha256:{hex_digits(urn, 64)}"] = f"<image {image}>"
            tags = [_CONTENT_TAG.search(tag) for tag in inputs.get("tags", [])]
            found |= {tag[1]: f"<sources {image}>" for tag in tags if tag}
    hashes = tuple(found)
    for _, type_, _, inputs in everything:
        name = inputs.get("metadata", {}).get("name") or ""
        if type_ == _JOB and (hashed := _HASHED_NAME.match(name)) and _mentions(inputs, hashes):
            found[name] = f"{hashed[1]}<inputs>"
    return found


def replaced(value: Any, by: Mapping[str, str]) -> Any:
    """Return `value` with every occurrence of a key of `by` in its texts replaced by the key's value."""

    def change(text: str) -> str:
        for known, shown in by.items():
            text = text.replace(known, shown)
        return text

    return mapped(value, change)


def mapped(value: Any, change: Callable[[str], str]) -> Any:
    """Return `value` with `change` applied to each text in it; keys stay."""
    match value:
        case str():
            return change(value)
        case Secret():
            return Secret(mapped(value.value, change))
        case Mapping():
            return {key: mapped(item, change) for key, item in value.items()}
        case list() | tuple():
            return [mapped(item, change) for item in value]
        case _:
            return value


def _mentions(value: Any, hashes: tuple[str, ...]) -> bool:
    match value:
        case str():
            return any(one in value for one in hashes)
        case Mapping():
            return any(_mentions(item, hashes) for item in value.values())
        case list():
            return any(_mentions(item, hashes) for item in value)
        case _:
            return False
