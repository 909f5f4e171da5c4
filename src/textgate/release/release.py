"""A folder of judged evidence into a folder of release assets; nothing is trained, scored or judged again."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from textgate import bundle, records
from textgate.choose import RELEASE
from textgate.errors import Refused
from textgate.evidence import Release
from textgate.files import read_text, write_text
from textgate.registry.github import GitHubReleases
from textgate.release.archive import pack
from textgate.release.assets import (
    CARD_ASSET,
    EVIDENCE,
    NOTES,
    SUMS,
    Judged,
    archive_name,
    check,
    describe,
    released_digest,
    sums_text,
)
from textgate.release.notes import notes
from textgate.release.versions import next_version, version_of

NEXT = "next"  # instead of a tag: the version after the newest of the series


@dataclass(frozen=True)
class Made:
    """What came of releasing a judged bundle, and the sentence that says it."""

    version: str
    digest: str
    state: Literal["new", "unfinished", "already-released"]
    sentence: str


def release_from(judged: Path, out: Path, registry: GitHubReleases, series: str, tag: str) -> Made:
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
    release = build(judged, out, version or next_version(series, registry.names()))
    registry.check_tag(release)
    return Made(release.version, digest, "new", f"{release.version} is built in {out}: bundle {digest[:12]}")


def build(judged: Path, out: Path, version: str) -> Release:
    """Write the assets of a release into the folder `out`, in the place of what was there, and return what it is.

    `judged` is laid out as build/: model/, gate.json, data/data.json and so on. The same evidence and version give the
    same bytes. Raises CannotTell if evidence is missing; Refused unless the gate passed exactly the bundle that is
    there and all evidence is about it. What was in `out` then stays as it was.
    """
    found = _read(judged)
    release = describe(version, found)
    manifest = bundle.verify(judged / "model", release.bundle_digest)
    card = read_text(judged / "model" / bundle.CARD, 'run "make card" first')
    if release.bundle_digest not in card:
        raise Refused(f'{judged / "model" / bundle.CARD} is about another bundle: run "make card" again')
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as temporary:
        new = Path(temporary, "new")
        new.mkdir()
        pack(judged / "model", manifest, new / archive_name(release.bundle_digest))
        for place, _, _ in EVIDENCE.values():
            shutil.copyfile(judged / place, new / Path(place).name)
        write_text(new / CARD_ASSET, card)
        records.write(new / RELEASE, release)
        write_text(new / NOTES, notes(release, found))
        write_text(new / SUMS, sums_text(new))
        check(new)  # as whoever fetches it will
        bundle.replace_folder(new, out)
    return release


def _read(judged: Path) -> Judged:
    pieces: dict[str, Any] = {
        field: records.read(judged / place, kind, stage) for field, (place, kind, stage) in EVIDENCE.items()
    }
    return Judged(**pieces)
