"""YAML as Helm and Kubernetes read it."""

from __future__ import annotations

from typing import Any

import yaml

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]  # which of the two it is depends on how PyYAML was built
    """PyYAML's safe loader without its dates and its `=`, neither of which JSON has."""

    yaml_implicit_resolvers = {  # noqa: RUF012  as PyYAML declares it
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":value"))]
        for first, resolvers in _Base.yaml_implicit_resolvers.items()
    }


def documents(text: str) -> list[Any]:
    """Return the documents in `text` that are not empty. Raise yaml.YAMLError."""
    return [one for one in yaml.load_all(text, Loader=_Loader) if one is not None]


def mapping(text: str) -> dict[str, Any]:
    """Return the one mapping in `text`, empty where there is nothing. Raise yaml.YAMLError, ValueError."""
    found = documents(text)
    if not found:
        return {}
    if len(found) > 1 or not isinstance(found[0], dict):
        raise ValueError("it does not hold one mapping")
    return found[0]
