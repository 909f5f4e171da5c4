"""Users of the demo and their passwords, hashed by scrypt (RFC 7914)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from textgate.records import Record, Sha256
from textgate.serve.access.keys import ClientName, Scopes
from textgate.serve.access.watched import read_record

HOW = "set a password with scripts/access_key.py user"
MIN_CHARACTERS = 15  # NIST SP 800-63B-4, 3.1.1.2: where the password is the only factor
MAX_CHARACTERS = 256  # of a passphrase; NIST asks for 64 at least
MEBIBYTE = 1 << 20


class Scrypt(Record):
    """Cost of one try: memory of 128 * n * r bytes, p times. One for the file, so that every try takes as long."""

    n: Annotated[int, Field(ge=1 << 10, le=1 << 20)]
    r: Annotated[int, Field(ge=1, le=32)]
    p: Annotated[int, Field(ge=1, le=16)]

    @model_validator(mode="after")
    def _fits(self) -> Scrypt:
        if self.n & (self.n - 1):
            raise ValueError("n must be a power of 2")
        if 128 * self.n * self.r > 256 * MEBIBYTE:
            raise ValueError("128 * n * r must not be above 256 MiB")
        return self


ADVISED = Scrypt(n=1 << 15, r=8, p=3)  # OWASP Password Storage Cheat Sheet: as strong as n 2^17, p 1 in 32 MiB


class User(Record):
    """One user, without the password."""

    name: ClientName
    salt: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    hash: Sha256
    scopes: Scopes


class UserFile(Record):
    """The whole file."""

    schema_version: Literal[1] = 1
    scrypt: Scrypt
    users: tuple[User, ...]

    @model_validator(mode="after")
    def _told_apart(self) -> UserFile:
        if len({user.name for user in self.users}) < len(self.users):
            raise ValueError("two users have the same name")
        return self


def read_users(path: Path) -> UserFile:
    """Read the file. Raises CannotTell for a missing or broken one."""
    return read_record(path, UserFile, HOW)


def password_hash(password: str, salt: str, cost: Scrypt) -> str:
    """Return the hash of a password as 64 hexadecimal digits; one letter typed in two ways is one (NFKC)."""
    typed = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    memory = 128 * cost.r * (cost.n + cost.p + 2)
    made = hashlib.scrypt(typed, salt=bytes.fromhex(salt), n=cost.n, r=cost.r, p=cost.p, maxmem=memory, dklen=32)
    return made.hex()


def new_user(name: str, password: str, scopes: Scopes, cost: Scrypt) -> User:
    """Return what is kept of a user."""
    salt = secrets.token_hex(16)
    return User(name=name, salt=salt, hash=password_hash(password, salt, cost), scopes=scopes)


def user_of(file: UserFile, name: str, password: str) -> User | None:
    """Return the user if the password is right. Takes as long for an unknown name: CPU for a third of a second."""
    nobody = User(name="nobody", salt="0" * 32, hash="0" * 64, scopes=("predict",))
    user = next((user for user in file.users if user.name == name), nobody)
    right = hmac.compare_digest(password_hash(password, user.salt, file.scrypt), user.hash)
    return user if right and user is not nobody else None
