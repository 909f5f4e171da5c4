"""The web page at `/` and its files, as they lie in static/, with a policy that lets nothing else run or load."""

from __future__ import annotations

from pathlib import Path
from string import Template

from fastapi import APIRouter
from fastapi.responses import Response

from textgate.serve.access.settings import AccessConfig
from textgate.serve.problems import Problem

STATIC = Path(__file__).with_name("static")
TYPES = {"page.js": "text/javascript", "page.css": "text/css", "icon.svg": "image/svg+xml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}


def routes(access: AccessConfig) -> APIRouter:
    """Return the routes of the page, which is told how its reader signs in and whether /explain is open at all."""
    router = APIRouter(include_in_schema=False)
    template = Template((STATIC / "index.html").read_text(encoding="utf-8"))
    page = template.substitute(access=access.clients.kind, explain=access.explain)
    files = {name: (STATIC / name).read_bytes() for name in TYPES}

    @router.get("/")
    async def _page() -> Response:
        return Response(page, headers=HEADERS, media_type="text/html")

    @router.get("/static/{name}")
    async def _file(name: str) -> Response:
        if name not in files:
            raise Problem(404, "There is no such file.")
        return Response(files[name], headers=HEADERS, media_type=TYPES[name])

    return router
