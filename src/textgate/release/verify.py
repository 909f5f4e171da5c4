"""A folder of release assets into its chain of evidence, link by link: from the commit to the verdict, offline.

Each link is asked for itself, so that one broken link does not hide another, and nothing is taken from a file before
it is known to be plain and not too large.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from textgate import model_tests
from textgate.bundle import MANIFEST, Manifest, digest_of
from textgate.choose import RELEASE
from textgate.errors import CannotTell, Refused, TextgateError
from textgate.evidence import Release
from textgate.files import read_text
from textgate.records import Evidence, Outcome
from textgate.release.archive import contents
from textgate.release.assets import (
    BOM,
    CARD_ASSET,
    EVIDENCE,
    SIGNATURE,
    SUMS,
    Judged,
    archive_name,
    asset,
    check_files,
    describe,
    parse,
)
from textgate.release.bom import about
from textgate.release.settings import CONFIG, Signing
from textgate.release.sign import check_signature

ALTERED = "this release was altered, take another one"
NOT_SIGNED = f"there is no {SIGNATURE}, and {CONFIG} says signing: null"
MARKS = {"passed": "✓", "refused": "✗", "unknown": "?", "not signed": "-"}


@dataclass(frozen=True)
class Link:
    """One link of the chain and what was found: "not signed" breaks nothing, where no key is expected."""

    name: str
    outcome: Literal["passed", "refused", "unknown", "not signed"]
    said: str

    def line(self) -> str:
        """Return the link as one line."""
        return f"{MARKS[self.outcome]} {self.name}: {self.outcome}: {self.said}"


@dataclass(frozen=True)
class Contents:
    """The assets, each read once, when it is first asked for. Every attribute raises Refused if it cannot be had."""

    folder: Path

    def piece(self, field: str) -> Any:
        """Return a piece of evidence."""
        place, kind, _ = EVIDENCE[field]
        return parse(asset(self.folder, Path(place).name), kind)

    def text(self, name: str) -> str:
        """Return the text of an asset."""
        return read_text(asset(self.folder, name), ALTERED)

    @cached_property
    def judged(self) -> Judged:
        """All evidence."""
        return Judged(**{field: self.piece(field) for field in EVIDENCE})

    @cached_property
    def release(self) -> Release:
        """What release.json says."""
        found: Release = parse(asset(self.folder, RELEASE), Release)
        return found

    @cached_property
    def archive(self) -> tuple[dict[str, str], bytes]:
        """File -> SHA-256 in the archive, and its manifest."""
        return contents(asset(self.folder, archive_name(self.release.bundle_digest)))

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest in the archive."""
        try:
            return Manifest.model_validate_json(self.archive[1])
        except ValidationError as error:
            raise Refused(f"the archive holds no {MANIFEST} of a bundle: {ALTERED}") from error


def verify(folder: Path, signing: Signing | None) -> tuple[Link, ...]:
    """Return every link of the release in a folder; `signing` says how its signature is checked, None that it has none.

    Raises CannotTell if the folder is no release at all.
    """
    if not (folder / SUMS).exists() and not (folder / RELEASE).exists():
        raise CannotTell(f"{folder} is not a release: name a folder that was built, fetched or downloaded")
    found = Contents(folder)
    questions: dict[str, Callable[[Contents], str]] = {
        "commit": _commit,
        "data": _data,
        "bundle": _bundle,
        "scan": _scan,
        "model tests": _model_tests,
        "gate": _gate,
        "bill of materials": _bom,
        "model card": _card,
    }
    links = [_ask("list", partial(_list, folder)), _signature(folder, signing)]
    return (*links, *(_ask(name, partial(question, found)) for name, question in questions.items()))


def outcome(links: tuple[Link, ...]) -> Outcome:
    """Return what the links come to: one that is refused refuses, else one that is unknown leaves it open."""
    found = {link.outcome for link in links}
    return "refused" if "refused" in found else "unknown" if "unknown" in found else "passed"


def _ask(name: str, question: Callable[[], str]) -> Link:
    try:
        return Link(name, "passed", question())
    except TextgateError as error:
        said = " ".join(str(error).split())
        return Link(name, "refused" if isinstance(error, Refused) else "unknown", said)
    except OSError as error:
        return Link(name, "unknown", f"{error.filename}: {error.strerror}: make it readable, then verify again")


def _list(folder: Path) -> str:
    return f"{len(check_files(folder))} files, each as {SUMS} lists it, and no other"


def _signature(folder: Path, signing: Signing | None) -> Link:
    there = (folder / SIGNATURE).exists() or (folder / SIGNATURE).is_symlink()
    if signing is None and not there:
        return Link("signature", "not signed", NOT_SIGNED)

    def question() -> str:
        if signing is None:
            raise CannotTell(f"there is a {SIGNATURE}, but {CONFIG} does not say how to check it: write it there")
        if not there:
            raise Refused(f"there is no {SIGNATURE}, though {CONFIG} says that releases are signed: take one that is")
        return check_signature(folder, signing)

    return _ask("signature", question)


def _same(what: str, wanted: str | None, claims: dict[str, str | None]) -> None:
    for file, said in claims.items():
        if said is None or said != wanted:
            raise Refused(f"{file} says {what} {_start(said)}, {RELEASE} says {_start(wanted)}: {ALTERED}")


def _start(said: str | None) -> str:
    return f"{said[:12]}…" if said else "none"


def _claims(found: Contents, key: str) -> dict[str, str | None]:
    """Return file -> what it says, for all evidence that has this field."""
    pieces: dict[str, Evidence] = {Path(place).name: getattr(found.judged, f) for f, (place, _, _) in EVIDENCE.items()}
    return {name: getattr(piece, key) for name, piece in pieces.items() if hasattr(piece, key)}


def _commit(found: Contents) -> str:
    release, gate = found.release, found.piece("gate")
    _same("commit", release.commit, {"gate.json": gate.commit, f"the bundle's {MANIFEST}": found.manifest.commit})
    _same("the judged commit", release.judged_commit, {"gate.json": gate.judged_commit})
    return f"trained at {release.commit}, judged at {release.judged_commit}"


def _data(found: Contents) -> str:
    wanted = found.release.data_fingerprint
    claims = _claims(found, "data_fingerprint") | _claims(found, "fingerprint")
    _same("data", wanted, claims | {f"the bundle's {MANIFEST}": found.manifest.data_fingerprint})
    return f"{found.judged.data.source[:100]!a} with the fingerprint {_start(wanted)}, in every piece of evidence"


def _bundle(found: Contents) -> str:
    wanted, (hashes, _) = found.release.bundle_digest, found.archive
    if digest_of(hashes) != wanted:
        raise Refused(f"{archive_name(wanted)} does not hold the bundle that it is named after: {ALTERED}")
    if found.manifest.files != {name: sha256 for name, sha256 in hashes.items() if name != MANIFEST}:
        raise Refused(f"the archive does not hold the files that its {MANIFEST} lists: {ALTERED}")
    _same("bundle", wanted, _claims(found, "bundle_digest"))
    return f"{len(hashes)} files with the digest {_start(wanted)}, in every piece of evidence"


def _scan(found: Contents) -> str:
    scan, (hashes, _) = found.piece("scan"), found.archive
    _same("bundle", found.release.bundle_digest, {"scan.json": scan.bundle_digest})
    if scan.outcome != "passed" or not scan.canary_caught:
        raise Refused(f"scan.json says {scan.outcome}, canary {'' if scan.canary_caught else 'not '}caught: {ALTERED}")
    vouched = {file.path: file.sha256 for file in scan.files if file.voucher is not None}
    if missed := sorted(name for name, sha256 in hashes.items() if vouched.get(name) != sha256):
        raise Refused(f"scan.json vouches for another {missed[0]} than the archive holds, or for none: {ALTERED}")
    return f"each of the {len(hashes)} files is vouched for, by its hash; modelscan {scan.modelscan_version[:20]!a}"


def _model_tests(found: Contents) -> str:
    tests, gate = found.piece("model_tests"), found.piece("gate")
    _same("bundle", found.release.bundle_digest, {"model-tests.json": tests.bundle_digest})
    if (told := model_tests.outcome(tests)) != "passed":
        raise Refused(f"model-tests.json says {told}: {ALTERED}")
    if tests.gates_sha256 != gate.gates_sha256:
        raise Refused(f"model-tests.json was made with other limits than gate.json: {ALTERED}")
    return f"{sum(group.passed for group in tests.groups.values())} passed, none failed"


def _gate(found: Contents) -> str:
    if found.release != describe(found.release.version, found.judged):
        raise Refused(f"{RELEASE} does not say what the evidence beside it says: {ALTERED}")
    gate = found.judged.gate
    if broken := [check.name for check in gate.checks if check.outcome != "passed" and not check.advisory]:
        raise Refused(f"gate.json says passed, though {broken[0][:80]!a} did not: {ALTERED}")
    return f"{len(gate.checks)} checks, with the limits {_start(gate.gates_sha256)} (configs/gates.yaml)"


def _bom(found: Contents) -> str:
    try:
        version, digest, data, lock = about(found.text(BOM))
    except ValueError as error:
        raise Refused(f"{BOM}: {ascii(str(error))[1:-1]:.120}: {ALTERED}") from error
    release, manifest = found.release, found.manifest
    for said, wanted in (
        (version, release.version),
        (digest, release.bundle_digest),
        (data, release.data_fingerprint),
        (lock, manifest.lock_sha256),
    ):
        _same("it is about", wanted, {BOM: str(said)})
    return f"{BOM} is about this version, bundle, data and lock file"


def _card(found: Contents) -> str:
    if found.release.bundle_digest not in found.text(CARD_ASSET):
        raise Refused(f"{CARD_ASSET} is about another bundle: {ALTERED}")
    return f"{CARD_ASSET} names this bundle"
