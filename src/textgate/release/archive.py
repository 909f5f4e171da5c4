"""A bundle as one tar file and back: the same bundle gives the same bytes, and only plain files come out again.

Plain USTAR, uncompressed, sorted, without owner or time. It is read header by header, so that none of the extensions
of tar (long names, links, sparse files, pax records) is ever followed.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from textgate.bundle import CARD, MANIFEST, MAX_FILES, SAFE_NAME, Manifest, digest_of
from textgate.errors import Refused
from textgate.files import MAX_TEXT_BYTES

MODEL_BYTES = 2_000_000_000  # a release asset may have 2 GiB
BLOCK = 1024 * 1024
CURE = "build the release again"


def pack(folder: Path, manifest: Manifest, archive: Path) -> None:
    """Write the files of a verified bundle, README.md excepted, into a tar file. Raises Refused if it is too large."""
    names = sorted((*manifest.files, MANIFEST))
    if (total := sum((folder / name).stat().st_size + 1024 for name in names)) > MODEL_BYTES:
        raise Refused(f"{folder} has {total:,} bytes, a release may have {MODEL_BYTES:,}: make the model smaller")
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in names:
            header = tarfile.TarInfo(name)
            header.size, header.mode = (folder / name).stat().st_size, 0o644
            try:
                with (folder / name).open("rb") as file:
                    tar.addfile(header, file)
            except ValueError as error:  # USTAR ends at about 100 characters a part
                raise Refused(
                    f"{folder}: {name}: the name is too long for an archive: give it a shorter one"
                ) from error


def digest_in(archive: Path) -> str:
    """Return the digest of the bundle in a tar file, without unpacking it. Raises Refused as `unpack` does."""
    return digest_of(contents(archive)[0])


def contents(archive: Path) -> tuple[dict[str, str], bytes]:
    """Return name -> SHA-256 of what a tar file holds, and its manifest, empty if there is none; nothing is unpacked.

    Raises Refused as `unpack` does, and for a manifest of more than 64 MiB.
    """
    hashes: dict[str, str] = {}
    manifest = bytearray()

    def take(name: str, blocks: Iterator[bytes]) -> None:
        found = hashlib.sha256()
        for block in blocks:
            found.update(block)
            if name == MANIFEST:
                manifest.extend(block)
                if len(manifest) > MAX_TEXT_BYTES:
                    raise _refused(archive, f"{MANIFEST} has more than {MAX_TEXT_BYTES >> 20} MiB")
        hashes[name] = found.hexdigest()

    _read(archive, take)
    return hashes, bytes(manifest)


def unpack(archive: Path, to: Path) -> None:
    """Unpack a tar file into the new folder `to`. Raises Refused for anything but the plain files of a bundle."""

    def take(name: str, blocks: Iterator[bytes]) -> None:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        with (to / name).open("xb") as file:
            file.writelines(blocks)

    to.mkdir()
    _read(archive, take)


def _read(archive: Path, take: Callable[[str, Iterator[bytes]], None]) -> None:
    """Hand each member to `take`, which reads all of it."""
    seen: set[str] = set()
    with archive.open("rb") as file:
        while (header := _header(archive, file)) is not None:
            name, size = header
            parents = {parent.as_posix() for parent in Path(name).parents}
            if name in seen or parents & seen or any(other.startswith(f"{name}/") for other in seen):
                raise _refused(archive, f"{name} is in it twice")
            seen.add(name)
            if len(seen) > MAX_FILES:
                raise _refused(archive, f"it holds more than {MAX_FILES} files")
            take(name, _blocks(archive, file, size))
            if any(file.read(-size % tarfile.BLOCKSIZE)):
                raise _refused(archive, f"something is hidden behind {name}")
        rest = file.read(tarfile.RECORDSIZE)
        if any(rest) or file.read(1):
            raise _refused(archive, "something comes after its end")


def _header(archive: Path, file: BinaryIO) -> tuple[str, int] | None:
    """Return name and size of the next member, None at the end."""
    block = file.read(tarfile.BLOCKSIZE)
    if block == bytes(tarfile.BLOCKSIZE):
        return None
    try:
        member = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        raise _refused(archive, "it is cut short or not a tar file") from error
    if member.type != tarfile.REGTYPE:
        raise _refused(archive, f"{ascii(member.name)[:80]} is a link or a special entry")
    if not SAFE_NAME.fullmatch(member.name):
        raise _refused(archive, f"{ascii(member.name)[:80]} is not a plain file name")
    if member.name == CARD:  # the one name outside the digest: nobody would notice what is in it
        raise _refused(archive, f"{CARD} does not belong there")
    if not 0 <= member.size <= MODEL_BYTES:
        raise _refused(archive, f"{member.name} has the size {member.size:,}")
    return member.name, member.size


def _blocks(archive: Path, file: BinaryIO, size: int) -> Iterator[bytes]:
    while size:
        block = file.read(min(BLOCK, size))
        if not block:
            raise _refused(archive, "it is cut short")
        size -= len(block)
        yield block


def _refused(archive: Path, reason: str) -> Refused:
    return Refused(f"{archive.name}: {reason}: {CURE}")
