"""The guided request of both APIs: read, guided, asked, passed on, recorded."""

from __future__ import annotations

import time

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from guidealign.serving.exchange import Api, Exchange, Parts
from guidealign.serving.overrides import FIELD, overrides_of
from guidealign.serving.refusal import Refusal
from guidealign.serving.relay import (
    GONE,
    EventStream,
    RawHeaders,
    RelayedStream,
    Upstream,
    is_stream,
    is_true,
    read_answer,
    read_error,
    read_json,
    read_usage,
    require_messages,
    require_model,
    to_json,
    while_there,
    with_member,
)
from guidealign.serving.telemetry import Observed

_EXPLAIN = "x-guidealign-explain"


async def answer(request: Request, parts: Parts, api: Api) -> Response:
    """The answer to a request of `/v1/chat/completions` or `/v1/responses`.

    Raises:
        Refusal: it is not answered.
        ClientDisconnect: the caller went away.
    """
    exchange = await _begun(request, parts, api)
    request.state.exchange = exchange
    limits: dict[str, str] = {}
    try:
        limits = exchange.admit()
        upstreams = parts.upstreams.of_model(exchange.model)
        # Who asks hangs up: then neither the retriever nor the model goes on for it.
        response = await while_there(request.receive, _asked(request, exchange, limits, upstreams))
    except Refusal as refusal:
        exchange.record(refusal.status)
        refusal.headers = exchange.headers() | limits | refusal.headers
        raise
    except ClientDisconnect:
        exchange.record(GONE)
        raise
    except BaseException:
        exchange.record(500)
        raise
    return response


async def _begun(request: Request, parts: Parts, api: Api) -> Exchange:
    policy = request.state.policy = await parts.gate.authenticate(request.headers)
    body = await read_json(request, parts.settings.serve)
    model = require_model(body)
    if api.name == "chat":
        require_messages(body)
    overrides = overrides_of(request.headers, body, policy)
    seen: Observed = request.state.observed
    spans = parts.watch.spans
    return Exchange(
        parts=parts,
        api=api,
        response_id=seen.response_id,
        policy=policy,
        model=model,
        body=body.without(FIELD),
        overrides=overrides,
        seen=seen,
        spans=spans.begin(f"/v1{api.path}", request.headers, seen) if spans else None,
    )


async def _asked(
    request: Request, exchange: Exchange, limits: dict[str, str], upstreams: list[Upstream]
) -> Response:
    await exchange.guide(upstreams)
    exchange.asked_at = time.monotonic()
    found = await exchange.parts.upstreams.ask(
        upstreams,
        exchange.api.path,
        exchange.headers_for(request.headers.raw),
        exchange.body_for,
    )
    exchange.answered_at = time.monotonic()
    exchange.upstream, exchange.upstream_status = found.upstream, found.response.status
    headers = found.headers(exchange.headers() | limits)
    explained = is_true(request.headers, _EXPLAIN)
    field = to_json(exchange.guided.as_dict()) if explained else None
    if is_stream(found):
        events = EventStream(found, field=field)
        await events.begin()
        exchange.answered_at = time.monotonic()
        return GuidedStream(found.response.status, events, exchange, headers)
    if found.response.status >= 300:
        own_key = found.upstream.settings.api_key is not None
        content = await read_error(found, own_key=own_key)
        if isinstance(content, Refusal):
            raise content
    else:
        limit = exchange.parts.settings.serve.max_answer_bytes
        content = await read_answer(found, limit=limit)
        exchange.usage = await read_usage(content, found.upstream.name)
        if field is not None:
            content = with_member(content, field)
    exchange.record(found.response.status)
    response = Response(content, found.response.status)
    response.raw_headers = [*headers, (b"content-length", str(len(content)).encode())]
    return response


class GuidedStream(RelayedStream):
    """A stream whose end is recorded."""

    def __init__(
        self, status: int, events: EventStream, exchange: Exchange, headers: RawHeaders
    ) -> None:
        timeout_s = exchange.parts.settings.serve.client_timeout_s
        super().__init__(status, events, headers, timeout_s=timeout_s)
        self._exchange = exchange

    def _sending(self) -> None:
        exchange = self._exchange
        exchange.first_byte_at = exchange.first_byte_at or time.monotonic()

    def _ended(self, status: int) -> None:
        exchange, events = self._exchange, self._events
        exchange.usage = events.usage
        if exchange.usage.completion_tokens is None:
            # Models write about a token an event.
            exchange.usage.completion_tokens = events.n_events
        exchange.record(status)
