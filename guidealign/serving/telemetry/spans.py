"""OpenTelemetry spans of a request, by the conventions for generative AI.

A request is a server span; under it stand the retrieval and the call of the model. Without a
provider nothing of this runs, and the SDK is not imported.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from guidealign import __version__
from guidealign.guidance import Query
from guidealign.ingest import redact_text
from guidealign.serving.model import Guided
from guidealign.serving.telemetry.request import RequestTelemetry

if TYPE_CHECKING:
    from opentelemetry.trace import Span, TracerProvider

log = structlog.get_logger()

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_EXPORTERS = {
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "grpc": "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
}
_ASKED = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "stream": "gen_ai.request.stream",
    "dimensions": "gen_ai.embeddings.dimension.count",
}
OWN_MODEL = "guidealign"
"""Provider of the retriever, which is asked inside the process."""
RawHeaders = Sequence[tuple[bytes, bytes]]


def configured_provider() -> TracerProvider | None:
    """Where spans go by the standard environment variables, or by who started the process.

    None: nowhere.
    """
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        from opentelemetry import trace

        given = trace.get_tracer_provider()
        return None if type(given) is trace.ProxyTracerProvider else given
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    module = _EXPORTERS.get(protocol)
    if module is None or not _is_installed(module):
        log.warning("spans_not_exported", reason=f"no exporter for {protocol} is installed")
        return None
    return _exporting(module)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _exporting(module: str) -> TracerProvider:
    from importlib import import_module

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider as SdkProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    about = {"service.version": __version__}
    if "OTEL_SERVICE_NAME" not in os.environ:
        about["service.name"] = "guidealign-gateway"
    provider = SdkProvider(resource=Resource.create(about))
    provider.add_span_processor(BatchSpanProcessor(import_module(module).OTLPSpanExporter()))
    return provider


class Spans:
    """Makes the spans of requests.

    Args:
        provider: of tracers.
        with_text: what users say goes into them, masked.
    """

    def __init__(self, provider: TracerProvider, *, with_text: bool) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("guidealign.gateway", __version__)
        self._with_text = with_text

    def begin(
        self, path: str, headers: Mapping[str, str], seen: RequestTelemetry
    ) -> RequestSpans | None:
        """The spans of a request, under the caller's if it sends one; None: it is not sampled."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract(dict(headers))
        span = self._tracer.start_span(
            f"POST {path}",
            context=parent,
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": "POST",
                "http.route": path,
                "guidealign.response.id": seen.response_id,
            },
            start_time=time.time_ns() - int((time.monotonic() - seen.started) * 1e9),
        )
        if not span.is_recording():
            return None
        return RequestSpans(self._tracer, span, with_text=self._with_text)

    def close(self) -> None:
        """Sends what waits."""
        shutdown = getattr(self._provider, "force_flush", None)
        if shutdown is not None:
            shutdown()


class RequestSpans:
    """The spans of one request."""

    def __init__(self, tracer: Any, span: Span, *, with_text: bool) -> None:
        from opentelemetry.trace import set_span_in_context

        self._tracer = tracer
        self._span = span
        self._inside = set_span_in_context(span)
        self._with_text = with_text
        self._call: Span | None = None

    def retrieved(self, guided: Guided, query: Query | None, seconds: float) -> None:
        """Notes a retrieval that has just ended."""
        now = time.time_ns()
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "retrieval",
            "gen_ai.data_source.id": "guidealign-library",
            "gen_ai.retrieval.documents": json.dumps(
                [
                    {"id": str(g.guideline_id), "score": round(g.score, 4)}
                    for g in guided.guidelines or guided.nearest
                ]
            ),
            **_of_guidance(guided),
        }
        if self._with_text and query is not None:
            attributes["gen_ai.retrieval.query.text"] = redact_text(query.text)
        span = self._tracer.start_span(
            "retrieval guidealign-library",
            context=self._inside,
            attributes=attributes,
            start_time=now - int(seconds * 1e9),
        )
        span.end(now)

    def asking(
        self,
        operation: str,
        model: str,
        asked: Mapping[str, Any],
        headers: RawHeaders,
        *,
        provider: str = "openai",
    ) -> RawHeaders:
        """Begins the call of the model; the caller's headers with this call as their trace.

        Args:
            operation: `chat`, `responses` or `embeddings`.
            model: as the caller names it.
            asked: the request's body.
            headers: of the caller.
            provider: by the format of the API; whose model it is, the gateway cannot know.
        """
        from opentelemetry.trace import SpanKind, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        attributes: dict[str, Any] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
        }
        for name, attribute in _ASKED.items():
            if isinstance(asked.get(name), bool | int | float):
                attributes[attribute] = asked[name]
        if isinstance(asked.get("encoding_format"), str):
            attributes["gen_ai.request.encoding_formats"] = [asked["encoding_format"]]
        if self._with_text and operation != "embeddings":
            attributes["gen_ai.input.messages"] = _messages(asked)
        self._call = self._tracer.start_span(
            f"{operation} {model}",
            context=self._inside,
            kind=SpanKind.INTERNAL if provider == OWN_MODEL else SpanKind.CLIENT,
            attributes=attributes,
        )
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, set_span_in_context(self._call))
        own = [(name.encode(), value.encode()) for name, value in carrier.items()]
        return [h for h in headers if h[0] not in {b"traceparent", b"tracestate"}] + own

    def ended(self, seen: RequestTelemetry, guided: Guided | None, base_url: str | None) -> None:
        """Ends all spans.

        Args:
            seen: of the request, complete.
            guided: what was done about it; None: it is none that guidelines go to.
            base_url: of the upstream that answered.
        """
        from opentelemetry.trace import StatusCode

        if self._call is not None:
            self._call.set_attributes(_of_answer(seen, base_url))
            if seen.status >= 400:
                self._call.set_status(StatusCode.ERROR)
            self._call.end()
        self._span.set_attribute("http.response.status_code", seen.status)
        if guided is not None:
            self._span.set_attributes(_of_guidance(guided))
        if seen.status >= 500:
            self._span.set_attribute("error.type", str(seen.status))
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


def _of_answer(seen: RequestTelemetry, base_url: str | None) -> dict[str, Any]:
    given: dict[str, Any] = {
        "gen_ai.usage.input_tokens": seen.prompt_tokens,
        "gen_ai.usage.output_tokens": seen.completion_tokens,
        "gen_ai.response.time_to_first_chunk": seen.first_byte_s,
        "guidealign.upstream": seen.upstream,
        "error.type": str(seen.status) if seen.status >= 400 else None,
    }
    if base_url is not None:
        place = urlsplit(base_url)
        given |= {"server.address": place.hostname, "server.port": place.port}
    return {name: value for name, value in given.items() if value is not None}


def _of_guidance(guided: Guided) -> dict[str, Any]:
    release = guided.release
    given = {
        "guidealign.guidance": guided.status,
        "guidealign.reason": guided.reason,
        "guidealign.release": release and release.release_id,
        "guidealign.library_version": release and release.library_version,
        "guidealign.retriever_version": release and release.retriever_version,
        "guidealign.canary": guided.canary_id,
    }
    return {name: value for name, value in given.items() if value is not None}


def _messages(asked: Mapping[str, Any]) -> str:
    """A conversation's texts, masked, in the form of the conventions."""
    given = asked.get("messages", asked.get("input"))
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    shown = [
        {
            "role": str(message.get("role")),
            "parts": [{"type": "text", "content": redact_text(message["content"])}],
        }
        for message in (given if isinstance(given, list) else [])
        if isinstance(message, dict) and isinstance(message.get("content"), str)
    ]
    return json.dumps(shown, ensure_ascii=False)
