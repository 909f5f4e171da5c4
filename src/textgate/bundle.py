r"""A bundle: a folder of data files with a manifest, named by one digest over its names and contents.

The digest is the SHA-256 of the lines `<sha256>  <path>\\n` of every file, sorted by path. README.md is the one file
outside the digest: it is written about the judged bytes, names their digest and therefore cannot be among them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import JsonValue, ValidationError

from textgate.config import Experiment
from textgate.errors import CannotTell, Refused
from textgate.evidence import Reference
from textgate.files import read_text, sha256_bytes, sha256_file, write_text
from textgate.records import Count, Evidence, Sha256

MANIFEST = "manifest.json"
CARD = "README.md"
MAX_FILES = 100
SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,3}")


class Manifest(Evidence):
    """manifest.json: what the bundle is, and what it was made from."""

    kind: str
    labels: tuple[str, ...]
    experiment: str
    config: dict[str, JsonValue]  # a record, read by people: a textgate with other settings can still open the bundle
    parts: tuple[dict[str, JsonValue], ...]  # the experiments an ensemble is made of, in its order
    seed: Count
    data_fingerprint: Sha256
    commit: str
    lock_sha256: Sha256  # requirements.txt
    versions: dict[str, str]
    reference: Reference
    files: dict[str, Sha256]


def seal(folder: Path, *, config: Experiment, parts: Sequence[Experiment], **made_from: Any) -> str:
    """Write the manifest of a finished folder and return the bundle's digest."""
    files = {path: sha256_file(folder / path) for path in bundle_files(folder) if path != MANIFEST}
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # some writers leave what only its owner can read and serve
    folder.chmod(0o755)
    settings, *others = (experiment.model_dump(mode="json") for experiment in (config, *parts))
    manifest = Manifest(files=files, config=settings, parts=tuple(others), **made_from)
    write_text(folder / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
    return digest(folder)


def digest(folder: Path) -> str:
    """Return the digest of what lies in a folder now. Raises as `verify` does for a missing folder, a link, a name."""
    return digest_of({path: sha256_file(folder / path) for path in bundle_files(folder)})


def digest_of(files: dict[str, str]) -> str:
    """Return the digest of files whose SHA-256 are known already, by path; README.md does not count."""
    return sha256_bytes("".join(f"{files[path]}  {path}\n" for path in sorted(files) if path != CARD).encode())


def verify(folder: Path, expected: str | None = None) -> Manifest:
    """Check a bundle as `verify_digest` does and return the manifest."""
    return verify_digest(folder, expected)[0]


def verify_digest(folder: Path, expected: str | None = None) -> tuple[Manifest, str]:
    """Check a bundle's file list and contents against its manifest; return the manifest and the bundle's digest.

    Each file is read once. Raises CannotTell if there is no readable bundle, or one of another version of textgate;
    Refused if a file is missing, extra or changed, or if the digest is not the `expected` one.
    """
    paths = bundle_files(folder)
    if MANIFEST not in paths:
        raise CannotTell(f'{folder} has no {MANIFEST}, so it is not a bundle: run "make train" first')
    text = read_text(folder / MANIFEST, 'run "make train" again')
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        _check_version(text, folder / MANIFEST)
        first = error.errors(include_url=False)[0]
        raise Refused(f"{folder / MANIFEST}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    listed, found = set(manifest.files), set(paths) - {MANIFEST}
    for names, what in ((listed - found, "is missing"), (found - listed, "is not in the manifest")):
        if names:
            raise Refused(f'{folder}: {min(names)} {what}: restore the bundle or run "make train" again')
    for path, sha256 in manifest.files.items():
        if sha256_file(folder / path) != sha256:
            raise Refused(f"{folder}: {path} is not the file that was sealed: restore it or train again")
    actual = digest_of({**manifest.files, MANIFEST: sha256_file(folder / MANIFEST)})  # as `digest` finds it
    if expected is not None and actual != expected:
        raise Refused(f"{folder} has the digest {actual[:12]}…, but {expected[:12]}… was expected")
    return manifest, actual


def _check_version(text: str, path: Path) -> None:
    """Raise CannotTell if a manifest that is not ours says itself that it is of another version."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(raw, dict) and raw.get("schema_version", 1) != 1:
        said = f"{raw['schema_version']!r:.20}"
        raise CannotTell(f"{path} is of another version ({said}, this textgate reads 1): use the textgate that made it")


def megabytes(folder: Path) -> float:
    """Return the size of a bundle in units of 10^6 bytes."""
    return sum((folder / path).stat().st_size for path in bundle_files(folder)) / 1e6


def replace_folder(new: Path, target: Path) -> None:
    """Put a finished folder in the place of another; a kill leaves the old one, the new one or none, never a mix."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def bundle_files(folder: Path) -> list[str]:
    """Return the sorted relative paths of the files that the digest covers. Raises as `verify` does for a folder."""
    if not folder.is_dir():
        raise CannotTell(f'{folder} is missing: run "make train" first, or name a bundle folder')
    paths = []
    for base, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(base, name)
            relative = path.relative_to(folder).as_posix()
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise Refused(f"{folder}: {relative} is a link or a special file: a bundle holds plain files only")
            if not SAFE_NAME.fullmatch(relative):
                raise Refused(f"{folder}: {relative!r} is not a plain file name: a bundle does not hold such files")
            if path.is_file() and relative != CARD:
                paths.append(relative)
        if len(paths) > MAX_FILES:
            raise Refused(f"{folder} holds more than {MAX_FILES} files: that is not a bundle")
    return sorted(paths)
