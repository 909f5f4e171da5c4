"""API keys: `tg_<id>_<secret>` in the header, their SHA-256 in a file.

A key is 256 random bits, so nobody finds it by trying, however fast the hash: a slow one (scrypt, Argon2) protects
what people choose and would cost every request tens of milliseconds.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from textgate.files import sha256_bytes
from textgate.records import Record, Sha256
from textgate.serve.access.client import Client, Denied
from textgate.serve.access.settings import Scope
from textgate.serve.access.watched import read_record

HEADER = "X-API-Key"
SHAPE = re.compile(r"tg_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
HOW = "make keys with scripts/access_key.py"
ClientName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}$")]
Scopes = Annotated[tuple[Scope, ...], Field(min_length=1)]


class Key(Record):
    """One key, without its secret."""

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
    name: ClientName  # of the client; two keys of one name are one client, so that a key can be changed
    sha256: Sha256
    scopes: Scopes
    expires: AwareDatetime
    revoked: bool


class KeyFile(Record):
    """The whole file."""

    schema_version: Literal[1] = 1
    keys: tuple[Key, ...]

    @model_validator(mode="after")
    def _told_apart(self) -> KeyFile:
        if len({key.id for key in self.keys}) < len(self.keys):
            raise ValueError("two keys have the same id")
        return self


def new_key(name: str, scopes: tuple[Scope, ...], expires: datetime) -> tuple[str, Key]:
    """Return a new key, to be shown once, and what is kept of it."""
    number = secrets.token_hex(6)
    shown = f"tg_{number}_{secrets.token_urlsafe(32)}"
    return shown, Key(
        id=number, name=name, sha256=sha256_bytes(shown.encode()), scopes=scopes, expires=expires, revoked=False
    )


_, NOBODY = new_key("nobody", ("predict",), datetime.min.replace(tzinfo=UTC))  # whom an unknown id is compared with


def read_keys(path: Path) -> Mapping[str, Key]:
    """Return the keys by id. Raises CannotTell for a missing or broken file."""
    return {key.id: key for key in read_record(path, KeyFile, HOW).keys}


def client_of(keys: Mapping[str, Key], shown: str, now: datetime) -> Client:
    """Return who shows this key. Raises Denied; an unknown id takes the way of a wrong secret."""
    shape = SHAPE.fullmatch(shown)
    if shape is None:
        raise Denied("not the shape of a key")
    key = keys.get(shape[1], NOBODY)
    if not hmac.compare_digest(sha256_bytes(shown.encode()), key.sha256):
        raise Denied("unknown key")
    if key.revoked:
        raise Denied(f"key {key.id} is revoked")
    if key.expires <= now:
        raise Denied(f"key {key.id} has expired")
    return Client(key.name, frozenset(key.scopes))
