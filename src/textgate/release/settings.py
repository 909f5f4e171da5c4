"""configs/release.yaml as a type: the series of versions, and how releases are signed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from textgate.records import Record

CONFIG = "configs/release.yaml"
File = Annotated[str, StringConstraints(min_length=1)]


class KeySigning(Record):
    """A pair of keys. `public_key` is the file of the half that everybody checks with (PEM)."""

    kind: Literal["key"]
    public_key: File


class CertificateSigning(Record):
    """A certificate of an authority that you trust. The files hold PEM, and no private key."""

    kind: Literal["certificate"]
    certificate: File  # signs, and says for whom; a later one for the same name may take its place
    chain: File  # the root of the authority, and what stands between it and the certificate


Signing = Annotated[KeySigning | CertificateSigning, Field(discriminator="kind")]


class ReleaseConfig(Record):
    """configs/release.yaml."""

    series: Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})$")]
    signing: Signing | None
