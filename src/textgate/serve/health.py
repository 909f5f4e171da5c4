"""GET /health, /ready, /version and /metrics: how the service is, for machines."""

from __future__ import annotations

import os
from typing import Any

from fastapi import APIRouter, Depends
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.responses import Response

from textgate.serve.access.access import Access
from textgate.serve.answers import Loaded, State, Version
from textgate.serve.audit.log import AuditLog
from textgate.serve.life import Life
from textgate.serve.models import Models
from textgate.serve.problems import Problem


def routes(models: Models, access: Access, audit: AuditLog, life: Life) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["health"])

    @router.get("/health", summary="Is the process alive?")
    async def _health() -> State:
        return State(status="alive")

    @router.get("/ready", summary="Can it answer? If not, send requests elsewhere")
    async def _ready() -> State:
        for true, why in (
            (life.stopping, "The service is stopping."),
            (not models.ready(), "No model is loaded."),
            (not audit.ready(), "Answers cannot be recorded."),
        ):
            if true:
                raise Problem(503, why, {"Retry-After": "1"})
        return State(status="ready")

    @router.get("/version", summary="Which models answer")
    async def _version() -> Version:
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
        return Version(
            model_version=champion.version,
            model_digest=champion.digest,
            models=loaded,
        )

    described: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}

    @router.get(
        "/metrics",
        summary="Figures for Prometheus",
        dependencies=[Depends(access.guard("admin"))],
        response_class=Response,
        responses=described,
    )
    async def _metrics() -> Response:
        return Response(generate_latest(_registry()), media_type=CONTENT_TYPE_LATEST)

    return router


def _registry() -> CollectorRegistry:
    """Return this process's figures, or those of all workers, which leave theirs in files."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry
