"""GET /health, /ready, /version and /metrics: how the service is, for machines."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Depends
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from textgate.serve.access.access import Access
from textgate.serve.answers import Loaded, State, Version
from textgate.serve.audit.log import AuditLog
from textgate.serve.lifespan import Lifespan
from textgate.serve.metrics import READY, registry
from textgate.serve.models import Models
from textgate.serve.problems import Problem

LOOK_SECONDS = 1.0  # between two looks of a process at itself
TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


class Readiness:
    """Whether this process can answer, also as the gauge that Prometheus sees."""

    def __init__(self, life: Lifespan, models: Models, audit: AuditLog) -> None:
        """Take what may keep it from answering."""
        self._life, self._models, self._audit = life, models, audit
        self._watching: asyncio.Task[None] | None = None

    def why_not(self) -> str | None:
        """Return what keeps it from answering, and set the gauge."""
        causes = {
            "The service is stopping.": self._life.stopping,
            "No model is loaded.": not self._models.ready(),
            "Answers cannot be recorded.": not self._audit.ready(),
        }
        found = next((why for why, true in causes.items() if true), None)
        READY.set(found is None)
        return found

    def start(self) -> None:
        """Keep the gauge up to date from now on: of several workers, Prometheus only ever asks one."""
        self._watching = asyncio.create_task(self._watch())

    def stop(self) -> None:
        """Leave it as it is."""
        if self._watching is not None:
            self._watching.cancel()

    async def _watch(self) -> None:
        while True:
            self.why_not()
            await asyncio.sleep(LOOK_SECONDS)


def routes(readiness: Readiness, models: Models, access: Access) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["health"])

    @router.get("/health", summary="Is the process alive?")
    async def _health() -> State:
        return State(status="alive")

    @router.get("/ready", summary="Can it answer? If not, send requests elsewhere")
    async def _ready() -> State:
        if why := readiness.why_not():
            raise Problem(503, why, {"Retry-After": "1"})
        return State(status="ready")

    @router.get("/version", summary="Which models answer")
    async def _version() -> Version:
        return _versions(models)

    guard, summary = Depends(access.guard("admin")), "Figures for Prometheus"

    @router.get("/metrics", summary=summary, dependencies=[guard], response_class=Response, responses=TEXT)
    async def _metrics() -> Response:
        readiness.why_not()
        try:
            figures = generate_latest(registry())
        except FileNotFoundError:  # those of a worker that could not start, which were just deleted
            figures = generate_latest(registry())
        return Response(figures, media_type=CONTENT_TYPE_LATEST)

    return router


def _versions(models: Models) -> Version:
    loaded: dict[str, Loaded] = {
        variant: Loaded(
            version=served.version,
            digest=served.bundle.digest,
            kind=served.bundle.manifest.kind,
            labels=served.bundle.manifest.labels,
        )
        for variant, served in models.loaded().items()
    }
    champion = loaded["champion"]
    return Version(model_version=champion.version, model_digest=champion.digest, models=loaded)
