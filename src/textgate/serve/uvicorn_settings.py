"""uvicorn's settings, from the section `listen` of configs/serve.yaml."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn

from textgate.serve.settings import Listen


class Settings(uvicorn.Config):
    """uvicorn's settings, and ours."""

    def __init__(self, app: Any, listen: Listen, protocol: type[asyncio.Protocol]) -> None:
        """Take what makes the app, the section `listen`, and what a connection becomes."""
        self.listen = listen
        super().__init__(
            app,
            factory=True,
            loop="uvloop",
            http=protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            workers=listen.workers,
            proxy_headers=bool(listen.proxies),
            forwarded_allow_ips=list(listen.proxies),
            timeout_keep_alive=listen.keep_alive_seconds,
            timeout_graceful_shutdown=listen.drain_seconds,
        )
