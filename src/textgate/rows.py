"""Rows as every stage after `data` sees them: one split file in, columns out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from textgate.errors import CannotTell
from textgate.files import read_jsonl, sha256_bytes, sha256_file
from textgate.records import BUILD, Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DATA = BUILD / "data"
SPLITS = ("train", "valid", "test", "external")


class Row(Record):
    """One line of build/data/<split>.jsonl."""

    id: str
    text: str
    label: str
    group: str


@dataclass(frozen=True)
class Rows:
    """A split as columns of equal length."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.ids)

    def targets(self, labels: Sequence[str]) -> NDArray[np.int64]:
        """Return each row's index into `labels`. Raises CannotTell for a label that is not among them."""
        import numpy as np  # a tenth of a second, which who only asks for hashes need not spend

        index = {label: number for number, label in enumerate(labels)}
        unknown = sorted(set(self.labels) - set(index))
        if unknown:
            raise CannotTell(f"rows have the label {unknown[0]!r}, known are {', '.join(labels)}: run make data again")
        return np.array([index[label] for label in self.labels], dtype=np.int64)


def fingerprint(hashes: Sequence[str]) -> str:
    """Return the SHA-256 over the SHA-256 of the files of train, valid, test and external, in that order."""
    return sha256_bytes("\n".join(hashes).encode())


def check_rows(folder: Path, expected: str) -> None:
    """Raise CannotTell unless the split files in a folder are the ones that its data.json describes."""
    if fingerprint(split_hashes(folder)) != expected:
        raise CannotTell(f'{folder} does not hold the rows that its data.json describes: run "make data" again')


def split_hashes(folder: Path) -> list[str]:
    """Return the SHA-256 of each split file; an absent one counts as empty."""
    files = [folder / f"{split}.jsonl" for split in SPLITS]
    return [sha256_file(file) if file.is_file() else sha256_bytes(b"") for file in files]


def read_split(split: str, folder: Path = DATA) -> Rows:
    """Read a split in file order. An absent external split is empty; any other absent split raises CannotTell."""
    path = folder / f"{split}.jsonl"
    if split == "external" and not path.exists():
        return Rows((), (), (), ())
    rows = []
    for number, raw in enumerate(read_jsonl(path, 'run "make data" first'), start=1):
        try:
            rows.append(Row.model_validate(raw))
        except ValidationError as error:
            raise CannotTell(f'{path}, line {number}: {error.errors()[0]["msg"]}: run "make data" again') from error
    columns = zip(*((row.id, row.text, row.label, row.group) for row in rows), strict=True)
    return Rows(*columns) if rows else Rows((), (), (), ())
