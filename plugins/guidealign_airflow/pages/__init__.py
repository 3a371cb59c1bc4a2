"""Pages of the platform inside Airflow, behind Airflow's own log-in and permissions."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["PREFIX", "LazyPages"]

PREFIX = "/guidealign"
"""Where the pages are, below Airflow's own base URL."""

Message = MutableMapping[str, Any]


class LazyPages:
    """An ASGI application that is built when somebody first asks it for something."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._app: FastAPI | None = None

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Hands the request on."""
        await self._built()(scope, receive, send)

    def _built(self) -> FastAPI:
        with self._lock:
            if self._app is None:
                from guidealign_airflow.pages.app import build_app

                self._app = build_app()
            return self._app
