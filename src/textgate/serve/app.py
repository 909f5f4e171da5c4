"""The service, put together."""

from __future__ import annotations

import asyncio

from fastapi import Depends, FastAPI
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from textgate.serve import card_page, health, openapi, page
from textgate.serve.access.access import Access, check_start
from textgate.serve.audit.log import AuditLog
from textgate.serve.envelope import Direct, Envelope
from textgate.serve.explain import Explainer
from textgate.serve.handlers import HANDLERS
from textgate.serve.lifespan import Lifespan
from textgate.serve.models import Models
from textgate.serve.predict import Answering
from textgate.serve.ready_made import TurnAway
from textgate.serve.record import Recorder
from textgate.serve.settings import ServeConfig


def create(config: ServeConfig) -> FastAPI:
    """Return the app, and in its `state.envelope` what a server calls, whose lifespan loads the models.

    The envelope stands outside of FastAPI's own layers, which each prediction would pay for and none needs.
    Raises Refused or CannotTell for what the app can't be made of.
    """
    check_start(config.access, config.listen.host, config.listen.workers)
    access, models, explainer = Access(config.access), Models(config), Explainer(config.explain)
    audit = AuditLog(config.audit)

    async def start() -> None:
        await models.start()
        readiness.start()

    async def stop() -> None:
        readiness.stop()
        await models.stop()
        await asyncio.to_thread(explainer.close)
        await asyncio.to_thread(audit.close)

    life = Lifespan(start, stop, config.listen.notice_seconds)
    readiness = health.Readiness(life, models, audit)
    app = _bare()
    app.state.config, app.state.models, app.state.access, app.state.audit = config, models, access, audit
    app.state.life = life
    direct = _add_asking(
        app, access, Answering(config, models, Recorder(audit, keep_texts=config.audit.text), explainer)
    )
    for router in (health.routes(readiness, models, access), card_page.routes(), page.routes(config.access)):
        app.include_router(router)
    if token := access.routes():
        app.include_router(token)
    openapi.complete(app)
    endpoints = frozenset(app.openapi()["paths"]) | {"/", "/openapi.json"}
    turn_away = TurnAway(lambda texts, coming: None if life.stopping else models.too_long_s(texts, coming))
    app.state.envelope = Envelope(_head_as_get(app), config, endpoints, direct, life, turn_away)
    return app


def _bare() -> FastAPI:
    return FastAPI(
        title=openapi.TITLE,
        description=openapi.DESCRIPTION,
        version="1",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.path.strip("/"),
        exception_handlers=HANDLERS,
    )


def _add_asking(app: FastAPI, access: Access, answering: Answering) -> dict[str, Direct]:
    """Add the endpoints that ask a model: to FastAPI for their description, and as what the envelope calls itself."""
    direct = {
        "/predict": Direct(access.guard("predict"), answering.predict),
        "/explain": Direct(access.guard("explain"), answering.explain),
    }
    for path, one in direct.items():
        described = openapi.of(path, answering)
        app.add_api_route(path, _described, methods=["POST"], dependencies=[Depends(one.guard)], **described)
    return direct


def _head_as_get(app: ASGIApp) -> ASGIApp:
    """Answer HEAD as GET, for monitors that ask so; the protocol leaves the body out. FastAPI itself says 405."""

    async def called(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "method": "GET"} if scope["method"] == "HEAD" else scope, receive, send)

    return called


async def _described() -> Response:
    """Stand in FastAPI's list for what the envelope answers itself."""
    raise AssertionError("the envelope answers before FastAPI is asked")
