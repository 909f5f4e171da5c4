"""What a client did wrong, or what keeps us from answering, as RFC 9457 problem documents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

MEDIA_TYPE = "application/problem+json"
NOTHING: Mapping[str, str] = MappingProxyType({})


class Problem(Exception):
    """Raised anywhere below the app; the app answers with it. Says nothing that the client must not know."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] = NOTHING) -> None:
        """Take the HTTP status, one sentence for the client, and headers such as Retry-After."""
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers

    def body(self, request_id: str) -> bytes:
        """Return the document as JSON; `instance` names the request, as the logs do."""
        title = HTTPStatus(self.status).phrase
        document = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail}
        return json.dumps({**document, "instance": f"urn:uuid:{request_id}"}).encode()
