"""A folder of judged evidence into a folder of release assets; nothing is trained, scored or judged again."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from textgate import bundle, records
from textgate.choose import RELEASE
from textgate.errors import CannotTell, Refused
from textgate.evidence import Release
from textgate.files import read_text, write_text
from textgate.registry.github import GitHubReleases
from textgate.registry.protocol import Registry
from textgate.release.archive import pack
from textgate.release.assets import (
    BOM,
    CARD_ASSET,
    EVIDENCE,
    NOTES,
    SUMS,
    Judged,
    archive_name,
    check,
    describe,
    read_sums,
    released_digest,
    sums_text,
)
from textgate.release.bom import bom
from textgate.release.notes import notes
from textgate.release.predicate import predicate
from textgate.release.sign import Signer, sign
from textgate.release.versions import next_version, version_of

NEXT = "next"  # instead of a tag: the version after the newest of the series
PREDICATE = "predicate.json"  # beside the folder of assets: GitHub attests it, nobody downloads it


@dataclass(frozen=True)
class Made:
    """What came of releasing a judged bundle, and the sentence that says it."""

    version: str
    digest: str
    state: Literal["new", "unfinished", "already-released", "superseded"]
    sentence: str


def release_as(judged: Path, out: Path, registry: Registry, wanted: str, by: Signer | None) -> Made:
    """Build the release of a judged bundle under the version that a person names; also again, which changes nothing.

    Raises as `build` does, and Refused for a name that is no version, or one that means another bundle already.
    """
    digest, version = released_digest(_read(judged)), version_of(wanted)
    if version in registry.names() and registry.find_digest(digest, version) is None:
        raise Refused(f"{version} is taken, but not by this bundle: take another version, none is overwritten")
    build(judged, out, version, by)
    return Made(version, digest, "new", f"{version} is built in {out}: bundle {digest[:12]}")


def release_from(
    judged: Path, out: Path, registry: GitHubReleases, series: str, tag: str, by: Signer | None = None
) -> Made:
    """Build the release of a judged bundle, unless it is released already.

    As NEXT, a bundle that any version holds is not released again; a person's tag gives it one more name. It is
    "unfinished" if a run for this very commit published it, and was killed before it became the champion.
    Raises as `build` does, and Refused for a tag that is no version or is on another commit than the one judged.
    """
    found = _read(judged)
    digest = released_digest(found)
    version = None if tag == NEXT else version_of(tag)
    released = registry.find_digest(digest, version)
    if released is not None:
        said = f"bundle {digest[:12]} is already released as {released}"
        if registry.waits(released, found.gate.judged_commit):
            return Made(released, digest, "unfinished", f"{said}, which is not the champion yet")
        return Made(released, digest, "already-released", said)
    release = build(judged, out, version or next_version(series, registry.names()), by)
    registry.check_tag(release)
    return Made(release.version, digest, "new", f"{release.version} is built in {out}: bundle {digest[:12]}")


def build(judged: Path, out: Path, version: str, by: Signer | None = None) -> Release:
    """Write the assets of a release into the folder `out`, in the place of what was there, and return what it is.

    `judged` is laid out as build/: model/, gate.json, data/data.json and so on. The same evidence and version give the
    same bytes, except for a signature, which is made if there is a key to sign with. Beside `out`, predicate.json is
    written. Raises CannotTell if evidence is missing or another build is under way; Refused unless the gate passed
    exactly the bundle that is there and all evidence is about it. What was in `out` then stays as it was.
    """
    found = _read(judged)
    release = describe(version, found)
    manifest = bundle.verify(judged / "model", release.bundle_digest)
    card = read_text(judged / "model" / bundle.CARD, 'run "make card" first')
    if release.bundle_digest not in card:
        raise Refused(f'{judged / "model" / bundle.CARD} is about another bundle: run "make card" again')
    with _alone(out), tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as temporary:
        new = Path(temporary, "new")
        new.mkdir()
        pack(judged / "model", manifest, new / archive_name(release.bundle_digest))
        for place, _, _ in EVIDENCE.values():
            shutil.copyfile(judged / place, new / Path(place).name)
        write_text(new / CARD_ASSET, card)
        records.write(new / RELEASE, release)
        write_text(new / NOTES, notes(release, found))
        write_text(new / BOM, bom(release, found, manifest))
        if by is not None:
            sign(new, by, earlier=out)
        write_text(new / SUMS, sums_text(new))
        check(new)  # as whoever fetches it will
        records.write(Path(temporary, PREDICATE), predicate(release, found, read_sums(new)))
        out.with_name(PREDICATE).unlink(missing_ok=True)  # never that of another release
        bundle.replace_folder(new, out)
        Path(temporary, PREDICATE).replace(out.with_name(PREDICATE))
    return release


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Let one build write at a time, and remove what a killed one left. Raises CannotTell if another one does."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(out.parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotTell(f"another release is being built in {out.parent}: wait for it, then run again") from error
        for left in out.parent.glob(f".{out.name}.*"):
            shutil.rmtree(left)
        yield
    finally:
        os.close(folder)


def _read(judged: Path) -> Judged:
    pieces: dict[str, Any] = {
        field: records.read(judged / place, kind, stage) for field, (place, kind, stage) in EVIDENCE.items()
    }
    return Judged(**pieces)
