"""A key pair and a folder of assets into model.sig, and back into the sentence that says whose signature it is.

The format is that of OpenSSF model signing, made and checked without a network. Signed are all assets but SHA256SUMS,
which lists the signature too; whoever has the public key can check it with the program `model_signing` alone.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from textgate.config import ReleaseConfig
from textgate.errors import CannotTell, Refused
from textgate.files import sha256_file
from textgate.release.assets import SIGNATURE, SUMS, asset
from textgate.scan.policy import one_line

CONFIG = "configs/release.yaml"
SIGNER = Path(".venv-sign/bin/model_signing")  # an environment of its own: a key meets as little code as possible
INSTALL = "make it: python3 -m venv .venv-sign && .venv-sign/bin/pip install -r requirements-sign.txt"
ENVIRONMENT = {"PYTHONUTF8": "1"}  # no token, no proxy, nothing else
FAILED = "it failed without a word"
BAD_KEY = ("Unable to load PEM", "Valid PEM but", "Unsupported key", "'cryptography.")  # the last for RSA, Ed25519
SECONDS = 600  # for 2 GB on a slow disk
DIFFER = {
    "changed since it was signed": re.compile(r"Hash mismatch for '([^']+)'"),
    "is signed, but missing": re.compile(r"Missing files in model '[^']*': ([^'\"\]]+)"),
    "came after it was signed": re.compile(r"Extra files found in model '[^']*': ([^'\"\]]+)"),
}


@dataclass(frozen=True)
class Keys:
    """The private key that signs, and the public one that everybody checks with."""

    private: Path
    public: Path


def keys(private: Path | None, config: ReleaseConfig) -> Keys | None:
    """Return the keys to sign with, None for a release without a signature.

    Raises CannotTell if only one half is named: nobody could check such a signature, or would accept its absence.
    """
    if private is None and config.public_key is None:
        return None
    if private is None:
        raise CannotTell(f"{CONFIG} names a public_key, so releases are signed: name the private key (SIGNING_KEY=)")
    if config.public_key is None:
        raise CannotTell(f"{CONFIG} names no public_key, so nobody could check a signature: write it there first")
    return Keys(private, Path(config.public_key))


def sign(folder: Path, pair: Keys, earlier: Path) -> None:
    """Write model.sig into a folder of assets that has no list yet.

    The signature in the folder `earlier` is kept if it fits: made anew, it would be another one each time (ECDSA), and
    the same release would not be the same. Raises CannotTell if a key cannot be used, Refused if the two keys are
    not a pair.
    """
    if (earlier / SIGNATURE).is_file():
        shutil.copyfile(earlier / SIGNATURE, folder / SIGNATURE)
        with contextlib.suppress(Refused):
            check_signature(folder, pair.public)
            return
        (folder / SIGNATURE).unlink()
    if problem := _model_signing("sign", folder, "--private_key", pair.private):
        raise CannotTell(
            f"{pair.private} cannot sign (needed: an elliptic curve key, P-256, P-384 or P-521, in PEM, without a "
            f"password): {one_line(problem)}"
        )
    try:
        check_signature(folder, pair.public)
    except Refused as error:
        raise Refused(f"{pair.private} is not the private half of {pair.public}: sign with the key that is") from error


def check_signature(folder: Path, public: Path) -> str:
    """Check model.sig against all assets and return whose it is.

    Raises Refused unless it was made with the private half of the key `public`, over exactly these files; CannotTell
    if that key cannot be used, or model-signing is not installed.
    """
    for path in folder.iterdir():
        asset(folder, path.name)
    if problem := _model_signing("verify", folder, "--public_key", public):
        if problem.startswith(BAD_KEY):  # only where it starts so: the rest may be the signature's own words
            raise CannotTell(
                f"{public} is no public key of an elliptic curve (P-256, P-384, P-521; PEM): mend {CONFIG}"
            )
        raise Refused(f"{SIGNATURE}: {_why(problem, public)}: take a release whose signature fits")
    return f"made with the key {public} (sha256 {sha256_file(public)[:12]}…), over every file but {SUMS}"


def _model_signing(what: str, folder: Path, option: str, key: Path) -> str:
    """Run model_signing on a folder of assets. Returns why it failed, empty if it did not."""
    if not SIGNER.is_file():
        raise CannotTell(f"{SIGNER} is missing: {INSTALL}")
    try:
        key.read_bytes()
    except OSError as error:
        raise CannotTell(f"{key}: {error.strerror}: name the file of the key") from error
    command: list[str | Path] = [SIGNER.absolute(), what, "key", folder, "--signature", folder / SIGNATURE, option, key]
    command += ["--no-ignore-git-paths", "--ignore-paths", folder / SUMS]
    try:
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise CannotTell(
            f"model_signing did not end within {SECONDS} s: run this again on a quieter machine"
        ) from error
    said = done.stderr.decode("utf-8", "replace").strip()
    return "" if done.returncode == 0 else said.partition("failed with error:")[2].strip() or FAILED


def _why(said: str, public: Path) -> str:
    """Return the library's reason in our words; it says which files differ with their hashes in Python's notation."""
    plain = said.replace("\\", "")
    differ = {word: found for word, pattern in DIFFER.items() if (found := pattern.findall(plain))}
    if differ:
        return one_line("; ".join(f"{', '.join(names)[:200]} {word}" for word, names in differ.items()))
    return f"it was altered, or made with another key than {public}"
