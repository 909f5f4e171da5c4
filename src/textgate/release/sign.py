"""A private key and a folder of assets into model.sig, and back into the sentence that says whose signature it is.

The format is that of OpenSSF model signing, made and checked without a network. Signed are all assets but SHA256SUMS,
which lists the signature too; whoever has the public key, or the authority's root, can check it with the program
`model_signing` alone.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from textgate.errors import CannotTell, Refused
from textgate.files import sha256_file
from textgate.release.assets import SIGNATURE, SUMS, asset
from textgate.release.certificate import check_certificate, check_files
from textgate.release.settings import CONFIG, CertificateSigning, KeySigning, ReleaseConfig, Signing
from textgate.scan.policy import one_line

SIGNER = Path(".venv-sign/bin/model_signing")  # an environment of its own: a key meets as little code as possible
INSTALL = "make it: python3 -m venv .venv-sign && .venv-sign/bin/pip install -r requirements-sign.txt"
ENVIRONMENT = {"PYTHONUTF8": "1"}  # no token, no proxy, nothing else
FAILED = "it failed without a word"
BAD_KEY = ("Unable to load PEM", "Valid PEM but", "Unsupported key", "'cryptography.")  # the last for RSA, Ed25519
SECONDS = 600  # for 2 GB on a slow disk
NO_PAIR = "does not match the public key paired with the private key"
DIFFER = {
    "changed since it was signed": re.compile(r"Hash mismatch for '([^']+)'"),
    "is signed, but missing": re.compile(r"Missing files in model '[^']*': ([^'\"\]]+)"),
    "came after it was signed": re.compile(r"Extra files found in model '[^']*': ([^'\"\]]+)"),
}


@dataclass(frozen=True)
class Signer:
    """The private key that signs, and how everybody checks what it signed."""

    private: Path
    signing: Signing

    @property
    def public(self) -> str:
        """The file that the private key is the other half of."""
        return self.signing.public_key if isinstance(self.signing, KeySigning) else self.signing.certificate


def signer(private: Path | None, config: ReleaseConfig) -> Signer | None:
    """Return what to sign with, None for a release without a signature.

    Raises CannotTell if only one half is named: nobody could check such a signature, or would accept its absence.
    """
    if private is None and config.signing is None:
        return None
    if private is None:
        raise CannotTell(f"{CONFIG} says that releases are signed: name the private key (SIGNING_KEY=)")
    if config.signing is None:
        raise CannotTell(f"{CONFIG} does not say how a signature is checked: write that there first (signing:)")
    return Signer(private, config.signing)


def sign(folder: Path, by: Signer, earlier: Path) -> None:
    """Write model.sig into a folder of assets that has no list yet.

    The signature in the folder `earlier` is kept if it fits: made anew, it would be another one each time (ECDSA), and
    the same release would not be the same. Raises CannotTell if a key or certificate cannot be used, Refused if the
    two are not a pair, or if the signature would not be accepted.
    """
    if (earlier / SIGNATURE).is_file():
        shutil.copyfile(earlier / SIGNATURE, folder / SIGNATURE)
        with contextlib.suppress(Refused, CannotTell):
            check_signature(folder, by.signing)
            return
        (folder / SIGNATURE).unlink()
    _check_files(by.signing)
    options: list[tuple[str, str | Path]] = [("--private_key", by.private)]
    if isinstance(by.signing, CertificateSigning):
        options += [("--signing_certificate", by.signing.certificate), ("--certificate_chain", by.signing.chain)]
    if problem := _model_signing("sign", folder, by.signing, options):
        if NO_PAIR in problem:
            raise _no_pair(by)
        raise CannotTell(
            f"{by.private} cannot sign (needed: an elliptic curve key, P-256, P-384 or P-521, in PEM, without a "
            f"password): {one_line(problem)}"
        )
    try:
        check_signature(folder, by.signing)
    except Refused as error:
        raise _unaccepted(by) from error


def check_signature(folder: Path, signing: Signing) -> str:
    """Check model.sig against all assets and return whose it is.

    Raises Refused unless it was made over exactly these files, with the private half of the key that `signing` names,
    or with a certificate for its name that its chain vouches for; CannotTell if a file that `signing` names cannot be
    used, if the time of the certificate is not now, or if model-signing is not installed.
    """
    for path in folder.iterdir():
        asset(folder, path.name)
    _check_files(signing)
    if isinstance(signing, KeySigning):
        key = signing.public_key
        _verify(folder, signing, ("--public_key", key), f"made with another key than {key}")
        return f"made with the key {_file(key)}, over every file but {SUMS}"
    chain = signing.chain
    _verify(folder, signing, ("--certificate_chain", chain), f"by a certificate that {chain} does not vouch for")
    whose = check_certificate(folder / SIGNATURE, signing)
    return f"made by {whose}, vouched for by {_file(chain)}, over every file but {SUMS}"


def _verify(folder: Path, signing: Signing, option: tuple[str, str], otherwise: str) -> None:
    problem = _model_signing("verify", folder, signing, [option])
    if problem and isinstance(signing, KeySigning) and problem.startswith(BAD_KEY):  # the rest may be hostile words
        raise CannotTell(
            f"{signing.public_key} is no public key of an elliptic curve (P-256, P-384, P-521; PEM): mend {CONFIG}"
        )
    if problem:
        raise Refused(f"{SIGNATURE}: {_why(problem, otherwise)}: take a release whose signature fits")


def _check_files(signing: Signing) -> None:
    if isinstance(signing, CertificateSigning):
        check_files(signing)


def _no_pair(by: Signer) -> Refused:
    return Refused(f"{by.private} is not the private half of {by.public}: sign with the key that is")


def _unaccepted(by: Signer) -> Refused:
    if isinstance(by.signing, KeySigning):
        return _no_pair(by)
    return Refused(
        f"{by.signing.chain} does not vouch for {by.signing.certificate}, or not for signing (key usage: digital "
        "signature): put every certificate from its issuer to the root into the chain"
    )


def _file(name: str) -> str:
    return f"{name} (sha256 {sha256_file(Path(name))[:12]}…)"


def _model_signing(what: str, folder: Path, signing: Signing, options: list[tuple[str, str | Path]]) -> str:
    """Run model_signing on a folder of assets. Returns why it failed, empty if it did not."""
    if not SIGNER.is_file():
        raise CannotTell(f"{SIGNER} is missing: {INSTALL}")
    command: list[str | Path] = [SIGNER.absolute(), what, signing.kind, folder, "--signature", folder / SIGNATURE]
    command += ["--no-ignore-git-paths", "--ignore-paths", folder / SUMS]
    for option, file in options:
        try:
            Path(file).read_bytes()
        except OSError as error:
            raise CannotTell(f"{file}: {error.strerror}: name the file of the key") from error
        command += [option, file]
    try:
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise CannotTell(
            f"model_signing did not end within {SECONDS} s: run this again on a quieter machine"
        ) from error
    said = done.stderr.decode("utf-8", "replace").strip()
    return "" if done.returncode == 0 else said.partition("failed with error:")[2].strip() or FAILED


def _why(said: str, otherwise: str) -> str:
    """Return the library's reason in our words; it says which files differ with their hashes in Python's notation."""
    plain = said.replace("\\", "")
    differ = {word: found for word, pattern in DIFFER.items() if (found := pattern.findall(plain))}
    if differ:
        return one_line("; ".join(f"{', '.join(names)[:200]} {word}" for word, names in differ.items()))
    return f"it was altered, or {otherwise}"
