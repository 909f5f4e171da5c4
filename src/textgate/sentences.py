"""Plain sentences that any release must get right: configs/sentences.yaml as label -> sentences."""

from __future__ import annotations

from pathlib import Path

from textgate.errors import CannotTell
from textgate.yaml_file import read_yaml


def load_sentences(path: Path, labels: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Read configs/sentences.yaml: label -> plain sentences. Raises CannotTell unless it has exactly these labels."""
    cure = "mend it, or set `sentences: null` in configs/data.yaml"
    raw = read_yaml(path, "write it, or set `sentences: null` in configs/data.yaml")
    if not isinstance(raw, dict) or not all(isinstance(found, list) and found for found in raw.values()):
        raise CannotTell(f"{path}: expected a list of sentences under each label: {cure}")
    if set(raw) != set(labels):
        odd = min(map(repr, set(raw) ^ set(labels)))
        raise CannotTell(f"{path}: has the labels {list(raw)}, the model knows {list(labels)} ({odd}): {cure}")
    for label, sentences in raw.items():
        if not all(isinstance(sentence, str) for sentence in sentences):
            raise CannotTell(f"{path}: {label}: each sentence must be text, in quotes if need be: {cure}")
    return {label: tuple(sentences) for label, sentences in raw.items()}
