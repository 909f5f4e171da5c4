"""GitHub's REST API as the project uses it: one repository, JSON in and out, pages, files; errors are one line each."""

from __future__ import annotations

import io
import json
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from textgate.errors import CannotTell
from textgate.files import write_atomically
from textgate.github.gh import Answer, Request, ask, explain

JSON_BYTES = 32 * 1024 * 1024
PAGE = 100  # the most that GitHub gives at once
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,99}/(?!\.{1,2}$)[A-Za-z0-9_.-]{1,100}")
PATH = re.compile(r"(?!.*(?:^|/)\.{1,2}(?:[/?]|$))[A-Za-z0-9_.~%/?=&:,+-]*")  # anything else comes percent-encoded
OUTPUT = re.compile(r"[a-z_][a-z0-9_-]*")


@dataclass(frozen=True)
class GitHub:
    """One repository, "owner/name". Host, proxy and token are those of `gh`.

    Every method raises CannotTell for an answer that is not good. What may be asked twice is tried three times when
    GitHub is in trouble (5xx), out of reach or limits the rate.
    """

    repo: str

    def get(self, path: str) -> Any:
        """Return the JSON of GET repos/{repo}/{path}; the path "" is the repository itself."""
        request = self._request("GET", path)
        return _json(request, *_asked(request))

    def find(self, path: str) -> Any | None:
        """Return the same, or None if GitHub says 404, and for nothing else."""
        request = self._request("GET", path)
        answer, body = _asked(request)
        return None if answer.status == 404 else _json(request, answer, body)

    def pages(self, path: str, key: str | None = None, most: int = 1000) -> list[Any]:
        """Return the items of all pages; `key` names the list where it is a field, as in {"artifacts": [...]}.

        Raises CannotTell if there are more than `most`: half a list reads like a whole one.
        """
        items: list[Any] = []
        for page in self._pages(path, key):
            items += page
            if len(items) > most:
                raise CannotTell(f"{path.partition('?')[0]}: GitHub lists more than {most:,}: too many to look through")
        return items

    def _pages(self, path: str, key: str | None) -> Iterator[list[Any]]:
        number, more = 1, True
        while more:
            request = self._request("GET", f"{path}{'&' if '?' in path else '?'}per_page={PAGE}&page={number}")
            answer, body = _asked(request)
            found = _json(request, answer, body)
            items = found.get(key) if key is not None and isinstance(found, dict) else found
            if not isinstance(items, list):
                raise CannotTell(
                    f"GET {path.partition('?')[0]}: GitHub's answer is not a list: is this the right host?"
                )
            yield items
            number, more = (
                number + 1,
                bool(items) and ('rel="next"' in answer.headers.get("link", "") or len(items) >= PAGE),
            )

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a POST, PUT, PATCH or DELETE and return the JSON of the answer, None if it is empty."""
        if body is None:
            request = self._request(method, path)
            return _json(request, *_asked(request))
        with tempfile.NamedTemporaryFile(suffix=".json") as file:  # from a pipe, gh could not tell its length
            file.write(json.dumps(body).encode())
            file.flush()
            request = self._request(method, path, body=Path(file.name))
            return _json(request, *_asked(request))

    def download(self, path: str, to: Path, limit: int, accept: str = "application/octet-stream") -> None:
        """Write what GET repos/{repo}/{path} leads to into the file `to`. Raises Refused above `limit` bytes."""
        request = self._request("GET", path, accept=accept)

        def fetch(temporary: Path) -> None:
            with temporary.open("w+b") as file:
                answer = ask(request, file, limit)
            if not answer.good:
                raise explain(request, answer)

        write_atomically(to, fetch)

    def upload(self, upload_url: str, file: Path) -> Any:
        """Upload a release asset under its file name; `upload_url` is as the release has it."""
        address = upload_url.partition("{")[0]
        url = urlsplit(address)
        host = os.environ.get("GH_HOST") or "github.com"
        ours = re.fullmatch(
            rf"(?:/api/uploads)?/repos/{re.escape(self.repo)}/releases/\d+/assets", url.path, re.IGNORECASE
        )
        # gh gives its token to any host that it is sent to
        if (
            url.scheme != "https"
            or url.netloc not in (host, f"uploads.{host}")
            or not ours
            or url.query
            or url.fragment
        ):
            raise CannotTell(f"{address[:200]!r} is no upload address of {self.repo} on {host}: nothing was sent")
        to = f"{address}?name={quote(file.name, safe='')}"
        request = Request("POST", to, body=file, body_type="application/octet-stream")
        return _json(request, *_asked(request))

    def _request(self, method: str, path: str, **more: Any) -> Request:
        if not REPOSITORY.fullmatch(self.repo):
            raise CannotTell(f"{self.repo[:100]!r} is no repository: write it as owner/name")
        if not PATH.fullmatch(path):
            raise CannotTell(f"{path[:100]!r} is no path of GitHub's API: nothing was asked")
        return Request(method, f"repos/{self.repo}/{path}".rstrip("/"), **more)


def repository() -> GitHub:
    """Return the repository that GITHUB_REPOSITORY names. Raises CannotTell if it names none."""
    name = os.environ.get("GITHUB_REPOSITORY", "")
    if not REPOSITORY.fullmatch(name):
        raise CannotTell(f"GITHUB_REPOSITORY is {name[:100]!r}: set it to owner/name")
    return GitHub(name)


def output(name: str, value: str) -> None:
    """Give a step's output to the workflow; without a workflow, print it. Raises CannotTell if it is not one line."""
    if not OUTPUT.fullmatch(name) or value.splitlines() not in ([], [value]) or len(value) > 10_000:
        raise CannotTell(f"the output {name[:40]!r} is not one line: {value[:100]!r}")
    place = os.environ.get("GITHUB_OUTPUT")
    if not place:
        print(f"{name}={value}")
        return
    with Path(place).open("a", encoding="utf-8") as file:
        file.write(f"{name}={value}\n")


def _asked(request: Request) -> tuple[Answer, bytes]:
    into = io.BytesIO()
    return ask(request, into, JSON_BYTES), into.getvalue()


def _json(request: Request, answer: Answer, body: bytes) -> Any:
    if not answer.good:
        raise explain(request, answer)
    if not body.strip():
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        what = f"{request.method} {request.path.partition('?')[0]}"
        raise CannotTell(f"{what}: GitHub's answer is not JSON: is this the right host?") from error
