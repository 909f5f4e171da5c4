"""Who asks: a name and scopes, or the reason why nobody is let in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from starlette.requests import Request
from starlette.types import Scope

from textgate.serve.access import settings

REMEMBERED = 4096  # addresses and their names; to take one apart costs each request microseconds
LONGEST = 64  # characters of an address; a proxy may pass on anything


@dataclass(frozen=True)
class Client:
    """Somebody who was let in."""

    name: str
    scopes: frozenset[settings.Scope]


class Denied(Exception):
    """Why nobody is let in, in fixed words for our log: never a part of what was shown, and never for the client."""


def address_of(scope: Scope) -> str:
    """Return where a request came from: one name for what one person can easily change; a proxy may pass on no address.

    An IPv6 client usually has a whole /64 network to choose from (RFC 6177), and on this machine all of 127.0.0.0/8.
    """
    host: str = (scope["client"] or ("",))[0]
    return _name_of(host) if len(host) <= LONGEST else "unknown"


@lru_cache(REMEMBERED)
def _name_of(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    if address.is_loopback:
        return "127.0.0.1"
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)


def only(request: Request, header: str) -> str:
    """Return a header that must stand there exactly once. Raises Denied: of two, others may read the other one."""
    shown = request.headers.getlist(header)
    if len(shown) != 1:
        raise Denied("header stands there twice" if shown else "header is missing")
    return shown[0]
