"""The artifact `evidence` of a run into the bytes of its files. Whoever opened the pull request may have written it.

Only names fixed beforehand, only plain files, only so much of each; anything else refuses the whole artifact. No name
from the archive becomes a path, and no name is printed as it stands there.
"""

from __future__ import annotations

import stat
import struct
import tempfile
import zipfile
import zlib
from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime

from textgate.errors import CannotTell, Refused
from textgate.github.answers import Answered, understood
from textgate.github.api import GitHub
from textgate.github.hand_over import FILES
from textgate.report.markdown import visible

NAME = "evidence"
MAX_ARTIFACT = 20_000_000  # bytes; real evidence has about 1 % of each of these
MAX_FILE = 8_000_000
MAX_TOTAL = 32_000_000
MAX_FILES = 24
PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1
# What reading a broken or hostile archive raises.
BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError,
    IndexError,
)  # fmt: skip


class Artifact(Answered):
    """What is needed of GitHub's description of an artifact."""

    id: int
    name: str
    size_in_bytes: int
    expired: bool
    created_at: AwareDatetime | None = None


def read_evidence(github: GitHub, run_id: int, since: datetime | None = None) -> dict[str, bytes]:
    """Return the files of a run's artifact `evidence` by name; nothing if the run left none.

    A run that was started again may have left one an attempt: the newest counts, and none made before `since`.
    Raises Refused for one that is too large or holds anything but evidence files, CannotTell if it cannot be had.
    """
    listed = github.pages(f"actions/runs/{run_id}/artifacts", key="artifacts")
    named = [found for found in understood(list[Artifact], listed, "the run's artifacts") if found.name == NAME]
    artifacts = [found for found in named if since is None or (found.created_at and found.created_at >= since)]
    if not artifacts:
        return {}
    newest = max(artifacts, key=lambda artifact: artifact.id)
    if newest.expired:
        raise CannotTell("the artifact has expired: run the checks again")
    if newest.size_in_bytes > MAX_ARTIFACT:
        raise Refused(f"the artifact has {newest.size_in_bytes:,} bytes, more than the {MAX_ARTIFACT:,} it may have")
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "evidence.zip"
        github.download(f"actions/artifacts/{newest.id}/zip", archive, MAX_ARTIFACT, "application/vnd.github+json")
        return unpack(archive)


def unpack(path: Path) -> dict[str, bytes]:
    """Return the files of an archive by name. Raises Refused if it is anything but a zip of evidence files."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check(members)
            return {member.filename: _read(archive, member) for member in members}
    except BROKEN as error:
        raise Refused(f"the artifact is no readable zip file ({type(error).__name__})") from error


def _check(members: list[zipfile.ZipInfo]) -> None:
    """Raise Refused unless all that the archive says about its members is as it should be."""
    if len(members) > MAX_FILES:
        raise Refused(f"the artifact holds {len(members):,} files, more than the {MAX_FILES} it may hold")
    if len({member.filename for member in members}) < len(members):
        raise Refused("the artifact holds two files of one name")
    for member in members:
        name = visible(member.orig_filename, 60)
        if member.filename not in FILES or member.orig_filename != member.filename:
            raise Refused(f"the artifact holds a file that is no evidence: {name}")
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
            raise Refused(f"the artifact holds a link or a special file: {name}")
        if member.flag_bits & ENCRYPTED or member.compress_type not in PLAIN:
            raise Refused(f"the artifact holds a file that is encrypted or packed in an odd way: {name}")
        if member.file_size > MAX_FILE:
            raise Refused(f"the artifact holds a file of more than {MAX_FILE:,} bytes: {name}")
    if sum(member.file_size for member in members) > MAX_TOTAL:
        raise Refused(f"the artifact unpacks to more than {MAX_TOTAL:,} bytes")


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Return a member's bytes, never more than it said that it has: reading ends there, and its checksum fails."""
    with archive.open(member) as file:
        content = file.read(member.file_size + 1)
    if len(content) != member.file_size:
        raise Refused(f"the artifact holds a file of another size than it says: {visible(member.filename, 60)}")
    return content
