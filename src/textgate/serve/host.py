"""The header `Host`, of which no two readers may find another one."""

from __future__ import annotations

import re
from collections.abc import Iterable

import httptools

HOST = re.compile(rb"[\w.~!$&'()*+,;=%:\[\]-]*[ \t]*")  # an address and perhaps a port, or nothing (RFC 9110, 7.2)


def names_its_host(headers: Iterable[tuple[bytes, bytes]], parser: httptools.HttpRequestParser) -> bool:
    """Say whether a request names one host in a valid form, as RFC 9112, 3.2 has it; HTTP/1.0 may name none."""
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) == 1:
        return HOST.fullmatch(hosts[0]) is not None
    return not hosts and parser.get_http_version() == "1.0"
