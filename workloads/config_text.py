"""yaml as configs are written in it: keys once, numbers as yaml 1.2 has them, and one clear error for all else."""

from __future__ import annotations

import re

import yaml

from workloads.errors import ConfigError

LONGEST = 40
"""Characters of a value that a message shows."""


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, and takes 1e-3 for a number, which to PyYAML is text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        """Return the keys and values of a node; raise ConstructorError for a key that is there twice."""
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is there twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        """Return the value of a node; raise ConstructorError for one such as `2026-13-45`, `!!int x` or `!!bool x`."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError) as error:
            told = f"{str(node.value)[:LONGEST]} is no {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(None, None, told, node.start_mark) from error


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)


def read_yaml(text: str | bytes, source: str) -> object:
    """Return the value of a yaml document; raise ConfigError that begins with `source` where it is none."""
    try:
        return yaml.load(text if isinstance(text, str) else text.decode("utf-8"), Loader=_Loader)  # noqa: S506  a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{source}{line}: not yaml: {error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{source}: not a yaml text file") from error
