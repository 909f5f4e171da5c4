"""What the routes of the local GitHub are given and give back: requests, replies, listings, tokens."""

import json
import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

WRITES = ("POST", "PUT", "PATCH", "DELETE")
# Which permission of a workflow's token a path needs. The first that fits counts; what fits none needs none to be read.
SCOPES = (
    (r"/issues/(comments/)?\d+.*|/labels.*|/issues.*", ("issues", "pull-requests")),
    (r"/pulls.*", ("pull-requests",)),
    (r"/commits/[^/]+/pulls", ("pull-requests", "contents")),
    (r"/actions/(runners|variables|permissions|secrets).*", ("administration",)),
    (r"/actions/.*", ("actions",)),
    (r"/attestations.*", ("attestations",)),
    (r"/(check-runs|check-suites).*|/commits/.*/check-(runs|suites)", ("checks",)),
    (r"/(releases|git|contents|commits|compare|tags|branches|merges).*", ("contents",)),
    (r"/.+", ("administration",)),
)


class Refusal(Exception):
    """An answer other than success: status, GitHub's message, and more fields."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        """Keep status and body."""
        super().__init__(message)
        self.status, self.body = status, {"message": message, "status": str(status)} | more


@dataclass(frozen=True)
class Token:
    """Who somebody is and what they may do: {"contents": "write", …}; None for a person, who may do everything."""

    login: str
    scopes: dict[str, str] | None = None

    def check(self, method: str, path: str) -> None:
        """Raise Refusal (403) unless `method` on `path` (after repos/OWNER/NAME) is covered by the permissions."""
        if self.scopes is None:
            return
        needed = next((names for pattern, names in SCOPES if re.fullmatch(pattern, path)), None)
        if needed is None and method not in WRITES:
            return  # the repository itself: every token may see it
        enough = ("write",) if method in WRITES else ("read", "write")
        if not any(self.scopes.get(name) in enough for name in needed or ("administration",)):
            raise Refusal(403, "Resource not accessible by integration")


@dataclass(frozen=True)
class Request:
    """One call: the path has neither /api/v3 nor a query."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    token: Token

    def json(self) -> dict[str, Any]:
        """Return the body as an object; Refusal (400, 422) if it is none."""
        try:
            value = json.loads(self.body or b"{}")
        except ValueError as error:
            raise Refusal(400, "Problems parsing JSON") from error
        if not isinstance(value, dict):
            raise Refusal(422, "Invalid request.")
        return value


@dataclass(frozen=True)
class Reply:
    """One answer; a body that is not bytes is sent as JSON."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        """Return the bytes to send; none for 204."""
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.status == 204 else json.dumps(self.body).encode()


def moment(when: datetime) -> str:
    """Return a time as GitHub writes it."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def now() -> str:
    """Return the present time as GitHub writes it."""
    return moment(datetime.now(UTC))


def listing(request: Request, url: str, items: list[Any], key: str | None = None) -> Reply:
    """Return one page (30 items unless asked otherwise, 100 at most) with GitHub's Link header."""
    size = min(100, max(1, int(request.query.get("per_page", 30))))
    page = max(1, int(request.query.get("page", 1)))
    last = max(1, math.ceil(len(items) / size))
    others = "".join(f"&{name}={value}" for name, value in request.query.items() if name not in ("page", "per_page"))
    near = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
    wanted = [
        name for name in near if (name in ("prev", "first") and page > 1) or (name in ("next", "last") and page < last)
    ]
    links = [f'<{url}?per_page={size}&page={near[name]}{others}>; rel="{name}"' for name in wanted]
    part = items[(page - 1) * size : page * size]
    body = part if key is None else {"total_count": len(items), key: part}
    return Reply(body, headers={"Link": ", ".join(links)} if links else {})
