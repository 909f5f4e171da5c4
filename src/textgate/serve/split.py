"""Which requests the challenger gets: the same client always the same model, until there is another challenger."""

from __future__ import annotations

from hashlib import sha256


def goes_to_challenger(unit: str, challenger_digest: str, share: float) -> bool:
    """Say whether a unit (a client, or a request) is among the share that the challenger answers.

    The digest salts the hash, so each experiment divides the clients anew, and none carries over what an earlier one
    did to them (Kohavi et al., 2020, "Trustworthy online controlled experiments", chapter 14).
    """
    hashed = sha256(f"{challenger_digest}:{unit}".encode("utf-8", "replace")).digest()
    return int.from_bytes(hashed[:8]) < share * 2**64
