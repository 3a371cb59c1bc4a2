"""The gateway as an ASGI application."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI, Request
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guidealign import __version__
from guidealign.errors import GuidealignError
from guidealign.serving._guard import HEAD_TIMEOUT
from guidealign.serving._http import GONE
from guidealign.serving._trace import places
from guidealign.serving.exchange import Parts
from guidealign.serving.policy import new_response_id
from guidealign.serving.refusal import Refusal
from guidealign.serving.routes import router

log = structlog.get_logger()
_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})


def build_app(make: Callable[[], Parts]) -> FastAPI:
    """The application; its parts are made when it starts and closed when it ends.

    Args:
        make: gives the parts; it may take long and is called in the lifespan.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        import asyncio

        parts = await asyncio.to_thread(make)
        await parts.upstreams.start()
        await asyncio.to_thread(parts.gate.start)
        await asyncio.to_thread(parts.guidance.start)
        app.state.parts, app.state.models = parts, {}
        try:
            yield {HEAD_TIMEOUT: parts.settings.serve.client_timeout_s}
        finally:
            await parts.upstreams.close()
            await asyncio.to_thread(parts.guidance.close)
            await asyncio.to_thread(parts.gate.close)

    app = FastAPI(
        title="guidealign gateway",
        version=__version__,
        summary="OpenAI's API with guidelines in front of every model.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(router)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _refused_by_router)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(GuidealignError, _unavailable)
    app.add_exception_handler(Exception, _failed)
    app.add_middleware(Marked)
    return app


class Marked:
    """Gives every request an id, which every answer carries as `x-request-id`.

    Where no keys are asked for, only names of this machine are answered to: a page in a browser
    could otherwise reach the gateway under a name of its own that resolves to this machine.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        response_id = new_response_id()
        scope.setdefault("state", {}).update(response_id=response_id, started=time.monotonic())
        header = (b"x-request-id", response_id.encode())

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        if _is_foreign(scope):
            refusal = Refusal(
                403,
                "foreign_host",
                "without keys this gateway answers to this machine's names only",
            )
            await _answer_of(refusal)(scope, receive, marked)
            return
        await self._app(scope, receive, marked)


def _is_foreign(scope: Scope) -> bool:
    parts: Parts = scope["app"].state.parts
    if parts.settings.serve.require_keys:
        return False
    host = MutableHeaders(scope=scope).get("host", "")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    return name not in _LOCAL_HOSTS


def _answer_of(refusal: Refusal) -> Response:
    return Response(
        refusal.encoded(),
        status_code=refusal.status,
        headers=refusal.headers,
        media_type="application/json",
    )


async def _refused(_request: Request, error: Exception) -> Response:
    return _answer_of(error) if isinstance(error, Refusal) else await _failed(_request, error)


async def _refused_by_router(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    code = {404: "unknown_path", 405: "method_not_allowed"}.get(status, "invalid_request")
    message = f"{request.method} {request.url.path[:200]} is not served here"
    return _answer_of(Refusal(status, code, message, headers=headers))


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=GONE)


async def _unavailable(request: Request, error: Exception) -> Response:
    # Of a service behind the gateway, or its schema: the sentence is for its operator.
    log.error("gateway_unavailable", response_id=request.state.response_id, error=str(error))
    return _answer_of(
        Refusal(503, "unavailable", "the gateway cannot do this now: try again later")
    )


async def _failed(request: Request, error: Exception) -> Response:
    log.error("gateway_failed", response_id=request.state.response_id, error=places(error))
    return _answer_of(
        Refusal(500, "internal_error", "the gateway failed: the operator's log has the request id")
    )
