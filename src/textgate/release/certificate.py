"""The certificate inside a signature that was found good: for whom it is, and whether its time is now.

The format has no trusted time of signing, so `model_signing` asks whether the chain was good when the certificate
began. Whether it has ended is asked here: a key that is no longer watched over may sign anything, with any date.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from textgate.errors import CannotTell, Refused
from textgate.files import read_text
from textgate.release.settings import CONFIG, CertificateSigning
from textgate.scan.policy import one_line


def check_files(signing: CertificateSigning) -> None:
    """Raise CannotTell unless both files of configs/release.yaml hold certificates."""
    for path in (signing.certificate, signing.chain):
        _load(Path(path))


def check_certificate(signature: Path, signing: CertificateSigning) -> str:
    """Return for whom the certificate in a verified signature is, by whom, and until when.

    Raises Refused if it is for another name than the one in configs/release.yaml, CannotTell if its time is not now.
    """
    found, wanted = _signing_certificate(signature), _load(Path(signing.certificate))
    if found.subject != wanted.subject:
        raise Refused(
            f"{signature.name}: made with a certificate for {_named(found.subject)}, {signing.certificate} is for "
            f"{_named(wanted.subject)}: take a release that is signed by whom you expect"
        )
    _check_time(found, signature.name)
    return f"{_named(found.subject)}, by {_named(found.issuer)}, until {found.not_valid_after_utc:%Y-%m-%d}"


def _check_time(found: x509.Certificate, name: str) -> None:
    now = datetime.now(UTC)
    if now < found.not_valid_before_utc:
        raise CannotTell(
            f"{name}: its certificate begins on {found.not_valid_before_utc:%Y-%m-%d}, and here it is {now:%Y-%m-%d}: "
            "is this clock right?"
        )
    if now > found.not_valid_after_utc:
        raise CannotTell(
            f"{name}: its certificate ended on {found.not_valid_after_utc:%Y-%m-%d}, and nobody can say whether this "
            "was signed before: sign with a certificate whose time is now"
        )


def _signing_certificate(signature: Path) -> x509.Certificate:
    """Read the certificate that model_signing read: a key twice, or one more, might have let it see another one."""
    try:
        bundle = json.loads(read_text(signature, "take another release"), object_pairs_hook=_each_once)
        material = _only(bundle, "mediaType", "verificationMaterial", "dsseEnvelope")["verificationMaterial"]
        chain = _only(material, "x509CertificateChain", "tlogEntries")["x509CertificateChain"]
        first = _only(chain, "certificates")["certificates"][0]
        return x509.load_der_x509_certificate(base64.b64decode(_only(first, "rawBytes")["rawBytes"], validate=True))
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise Refused(f"{signature.name} is not as model_signing writes it: take another release") from error


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) != len(pairs):
        raise ValueError("a key comes twice")
    return found


def _only(value: dict[str, Any], *keys: str) -> dict[str, Any]:
    if set(value) != set(keys):
        raise ValueError("other keys")
    return value


def _load(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(read_text(path, f"put it there, or mend {CONFIG}").encode())[0]
    except ValueError as error:
        raise CannotTell(f"{path} holds no certificate, or a broken one (PEM): mend {CONFIG}") from error


def _named(name: x509.Name) -> str:
    return one_line(name.rfc4514_string())[:100]
