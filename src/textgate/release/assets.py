"""The files of a release: which there are, how large they may be, and whether they tell one story.

SHA256SUMS lists every other file; release.json says what the evidence says; the evidence is about one bundle, which
passed; and that bundle is what the archive holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from textgate import model_tests
from textgate.choose import RELEASE
from textgate.errors import CannotTell, Refused
from textgate.evidence import Comparisons, DataReport, Metrics, Release, TrainReport
from textgate.files import read_text, sha256_file
from textgate.records import Evidence
from textgate.release.archive import MODEL_BYTES, digest_in
from textgate.verdicts import Gate, ModelTests, Scan

# field -> place under build/ (the asset has its last part as name), type, stage that writes it
EVIDENCE: dict[str, tuple[str, type[Evidence], str]] = {
    "data": ("data/data.json", DataReport, "data"),
    "train": ("train.json", TrainReport, "train"),
    "metrics": ("metrics.json", Metrics, "evaluate"),
    "comparison": ("comparison.json", Comparisons, "evaluate"),
    "model_tests": ("model-tests.json", ModelTests, "model_tests"),
    "scan": ("scan.json", Scan, "scan"),
    "gate": ("gate.json", Gate, "gate"),
}
SUMS, NOTES, CARD_ASSET, BOM = "SHA256SUMS", "NOTES.md", "MODEL_CARD.md", "bom.cdx.json"
SIGNATURE = "model.sig"  # only if the release was signed with a key
OTHER_BYTES = 20_000_000  # evidence of hundreds of labels has 2 MB
MOST = 40  # assets
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
SUMS_LINE = re.compile(rf"([0-9a-f]{{64}})  ({NAME.pattern})")


@dataclass(frozen=True)
class Judged:
    """The evidence behind a release."""

    data: DataReport
    train: TrainReport
    metrics: Metrics
    comparison: Comparisons
    model_tests: ModelTests
    scan: Scan
    gate: Gate


def archive_name(digest: str) -> str:
    """Return the name of the asset that holds the bundle."""
    return f"model-{digest}.tar"


def most_bytes(name: str) -> int:
    """Return how large an asset of this name may be."""
    return MODEL_BYTES if re.fullmatch(r"model-[0-9a-f]{64}\.tar", name) else OTHER_BYTES


def released_digest(judged: Judged) -> str:
    """Return the digest of the one bundle that all evidence is about. Raises Refused unless that bundle passed."""
    gate, again = judged.gate, "judge this bundle again"
    if gate.outcome != "passed":
        raise Refused(f"gate.json says {gate.outcome}, not passed ({gate.sentence[:200]}): release what passed")
    tested = model_tests.outcome(judged.model_tests)
    for name, outcome in (("model-tests.json", tested), ("scan.json", judged.scan.outcome)):
        if outcome != "passed":
            raise Refused(f"{name} says {outcome}, though gate.json says passed: {again}")
    for file, what, found, wanted in _claims(judged):
        if found != wanted:
            told = f"{found[:12]}…" if found else "without a digest"
            raise Refused(f"{file} is about another {what} ({told}) than gate.json: {again}")
    return judged.train.bundle_digest


def _claims(judged: Judged) -> Iterator[tuple[str, str, str | None, str | None]]:
    """Yield file, what it is about, what it says and what the gate says, for everything that the gate says too."""
    gate = judged.gate
    wanted = {
        "bundle_digest": ("bundle", gate.bundle_digest),
        "data_fingerprint": ("data", gate.data_fingerprint),
        "fingerprint": ("data", gate.data_fingerprint),
        "gates_sha256": ("configs/gates.yaml", gate.gates_sha256),
    }
    for field, (place, _, _) in EVIDENCE.items():
        piece = getattr(judged, field)
        for key, (what, said) in wanted.items():
            if hasattr(piece, key):
                yield Path(place).name, what, getattr(piece, key), said


def describe(version: str, judged: Judged) -> Release:
    """Return what release.json says about this evidence. Raises Refused unless it passed, at a commit, as one story."""
    digest, gate = released_digest(judged), judged.gate
    try:
        return Release.model_validate(
            {
                "version": version,
                "bundle_digest": digest,
                "data_fingerprint": judged.data.fingerprint,
                "experiment": judged.train.experiment,
                "commit": gate.commit,
                "judged_commit": gate.judged_commit,
            }
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        found = f"{first['input']!a:.60}"
        cure = 'commit what was changed, then run "make pr" again (what is trained stays)'
        raise Refused(f"a release needs a {where}, this is {found}: {cure}") from error


def sums_text(folder: Path) -> str:
    """Return the content of SHA256SUMS for a folder of assets, as `sha256sum -c` takes it."""
    return _as_list({path.name: sha256_file(path) for path in folder.iterdir() if path.name != SUMS})


def _as_list(sums: Mapping[str, str]) -> str:
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


def read_sums(folder: Path) -> dict[str, str]:
    """Return file -> SHA-256 from SHA256SUMS. Raises Refused if it is not such a list."""
    text = read_text(folder / SUMS, "fetch or build the release again")
    found = [SUMS_LINE.fullmatch(line) for line in text.split("\n")[:MOST]]
    sums = {match[2]: match[1] for match in found if match}
    if text != _as_list(sums) or SUMS in sums:  # each byte of it means something
        raise Refused(f"{folder / SUMS} is not a list of at most {MOST} different files: this release was altered")
    return sums


def check_list(listed: set[str], there: set[str]) -> None:
    """Raise Refused unless the files that are there are those that SHA256SUMS lists, and it lists what it must."""
    cure = "this release was altered, take another one"
    for names, what in ((listed - there, "is missing"), (there - listed - {SUMS}, f"is not listed in {SUMS}")):
        if names:
            raise Refused(f"{ascii(min(names))[1:-1]} {what}: {cure}")
    needed = {Path(place).name for place, _, _ in EVIDENCE.values()} | {RELEASE, NOTES, CARD_ASSET, BOM}
    if absent := needed - listed:
        raise Refused(f"{SUMS} does not list {min(absent)}: {cure}")


def check(folder: Path) -> Release:
    """Check a whole folder of assets and return what it releases.

    Raises Refused for a missing, extra, changed or oversized file, for evidence that is not about the bundle in the
    archive or did not pass; CannotTell if there is no SHA256SUMS.
    """
    sums = check_files(folder)
    judged = read_judged({field: folder / Path(place).name for field, (place, _, _) in EVIDENCE.items()})
    release: Release = parse(folder / RELEASE, Release)
    if release != describe(release.version, judged):
        raise Refused(f"{folder / RELEASE} does not say what the evidence beside it says: this release was altered")
    archive = folder / archive_name(release.bundle_digest)
    if archive.name not in sums:
        raise Refused(f"{SUMS} does not list {archive.name}, the bundle of {RELEASE}: this release was altered")
    if digest_in(archive) != release.bundle_digest:
        raise Refused(f"{archive.name} does not hold the bundle that it is named after: this release was altered")
    return release


def check_files(folder: Path) -> dict[str, str]:
    """Return file -> SHA-256 of a folder that holds exactly what SHA256SUMS lists. Raises as `check` does."""
    sums = read_sums(folder)
    check_list(set(sums), {path.name for path in folder.iterdir()})
    for name, sha256 in sums.items():
        if sha256_file(asset(folder, name)) != sha256:
            raise Refused(f"{folder / name} is not the file that {SUMS} lists: fetch or build the release again")
    return sums


def asset(folder: Path, name: str) -> Path:
    """Return the path of an asset that can be read. Raises Refused for a link, a special file and one too large."""
    path = folder / name
    if path.is_symlink() or not path.is_file():
        raise Refused(f"{path} is a link or no file: put the file itself there")
    if (size := path.stat().st_size) > most_bytes(name):
        raise Refused(f"{path} has {size:,} bytes, {most_bytes(name):,} are the most: this is not a release")
    return path


def read_judged(files: Mapping[str, Path]) -> Judged:
    """Read the evidence of a release, by field. Raises Refused for a file that is not of its type."""
    pieces: dict[str, Any] = {field: parse(path, EVIDENCE[field][1]) for field, path in files.items()}
    return Judged(**pieces)


def parse(path: Path, kind: type[Any]) -> Any:
    """Read a file of a release through its type. Raises Refused if it is missing or of another shape."""
    try:
        return kind.model_validate_json(read_text(path, "fetch or build the release again"))
    except CannotTell as error:
        raise Refused(str(error)) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise Refused(f"{path}: {where}: {first['msg']}: this is not a release of this textgate") from error
