"""A YAML file into plain values: strict where YAML itself is not, and one line for anything that is no YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from textgate.errors import CannotTell
from textgate.files import read_text


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that stands there twice: a reader sees one limit, the gate would use the other."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: list[str] = []
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} stands there twice", problem_mark=key.start_mark)
            seen.append(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, made_by: str) -> Any:
    """Return what a YAML file says. Raises CannotTell as `read_text` does, and for what is no YAML, with the line."""
    text = read_text(path, made_by)
    try:
        return yaml.load(text, _UniqueKeys)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).replace('in "<unicode string>", ', "").split())
        raise CannotTell(f"{path}: not valid YAML: {reason}") from error
