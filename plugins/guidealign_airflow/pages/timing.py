"""Where a page's time goes, as a browser's developer tools and the benchmark read it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

from starlette.datastructures import MutableHeaders

Part = Literal["db", "encode", "render"]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_spent_s: ContextVar[dict[str, float] | None] = ContextVar("spent_s", default=None)


@contextmanager
def measured(part: Part) -> Iterator[None]:
    """Adds the seconds inside to a part of the request that is being answered."""
    begun = time.perf_counter()
    try:
        yield
    finally:
        # Threads of the pool see the dictionary of the request they work for.
        if (spent_s := _spent_s.get()) is not None:
            spent_s[part] = spent_s.get(part, 0.0) + time.perf_counter() - begun


class Timed:
    """ASGI middleware that tells the milliseconds of each part, and all of them, in a header.

    `total` is from when the request reaches the pages until the answer begins: it has the wait
    for a thread and the question of who may, which are in no part.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Hands the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        spent_s: dict[str, float] = {}

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                all_s = spent_s | {"total": time.perf_counter() - begun}
                told = ", ".join(f"{name};dur={1000 * s:.1f}" for name, s in all_s.items())
                MutableHeaders(scope=message).append("Server-Timing", told)
            await send(message)

        token = _spent_s.set(spent_s)
        try:
            await self._app(scope, receive, sending)
        finally:
            _spent_s.reset(token)
