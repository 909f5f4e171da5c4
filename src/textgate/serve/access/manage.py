"""What scripts/access_key.py does to the files of keys and users."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from textgate.errors import CannotTell, Refused
from textgate.files import write_text
from textgate.serve.access.keys import HOW, KeyFile, new_key
from textgate.serve.access.passwords import (
    ADVISED,
    MAX_CHARACTERS,
    MIN_CHARACTERS,
    UserFile,
    new_user,
    read_users,
)
from textgate.serve.access.settings import Scope
from textgate.serve.access.watched import read_record


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep a second person from writing back a file in which a revoked key is not revoked yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, file: KeyFile | UserFile) -> None:
    """Write hashes of keys for everybody to read, as they give nothing away; those of passwords can be tried out."""
    write_text(path, file.model_dump_json(indent=1) + "\n", mode=0o600 if isinstance(file, UserFile) else 0o644)


def make(path: Path, name: str, scopes: tuple[Scope, ...], days: int) -> str:
    """Add a key to the file and return it: it can't be shown again. Raises CannotTell for a name that is none."""
    with _alone(path):
        before = read_record(path, KeyFile, HOW).keys if path.exists() else ()
        try:
            shown, key = new_key(name, scopes, datetime.now(UTC).replace(microsecond=0) + timedelta(days=days))
        except (ValidationError, OverflowError) as error:
            raise CannotTell("a name has up to 100 of A-Z a-z 0-9 _ . @ -; days end before the year 9999") from error
        _write(path, KeyFile(keys=(*before, key)))
    return shown


def revoke(path: Path, number: str) -> None:
    """Mark a key as revoked: a running service refuses it at the next request. Raises Refused for an unknown id."""
    with _alone(path):
        file = read_record(path, KeyFile, HOW)
        if number not in {key.id for key in file.keys}:
            raise Refused(f"{path}: there is no key {number[:40]!r}: scripts/access_key.py list shows them")
        keys = [key.model_copy(update={"revoked": True}) if key.id == number else key for key in file.keys]
        _write(path, KeyFile(keys=tuple(keys)))


def listing(path: Path) -> list[str]:
    """Return a line for each key: id, name, scopes, and until when."""
    now = datetime.now(UTC)
    lines = []
    for key in read_record(path, KeyFile, HOW).keys:
        state = "revoked" if key.revoked else f"{'expired' if key.expires <= now else 'until'} {key.expires:%Y-%m-%d}"
        lines.append(f"{key.id}  {key.name}  {','.join(key.scopes)}  {state}")
    return lines


def typed_password() -> str:
    """Return what is typed unseen, or one line of standard input: never an argument, that others see in `ps`."""
    return getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def set_password(path: Path, name: str, password: str, scopes: tuple[Scope, ...]) -> None:
    """Add a user of the demo, or give one a new password. Raises Refused for one that is too short or too long."""
    if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS:
        raise Refused(f"a password has {MIN_CHARACTERS} to {MAX_CHARACTERS} characters: take some words")
    with _alone(path):
        file = read_users(path) if path.exists() else UserFile(scrypt=ADVISED, users=())
        try:
            user = new_user(name, password, scopes, file.scrypt)
        except ValidationError:
            raise CannotTell("a name has up to 100 of A-Z a-z 0-9 _ . @ -") from None
        others = tuple(other for other in file.users if other.name != name)
        _write(path, file.model_copy(update={"users": (*others, user)}))
