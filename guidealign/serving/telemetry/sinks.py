"""Where the telemetry of a request goes: spans, a sample of traces, and a line in the log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import structlog

from guidealign.ingest import redact_text
from guidealign.serving.telemetry.request import RequestTelemetry
from guidealign.settings import ServeSettings

if TYPE_CHECKING:
    from guidealign.serving.telemetry.sampled_traces import SampledTraces
    from guidealign.serving.telemetry.spans import Spans

log = structlog.get_logger("guidealign.gateway")


class TelemetrySinks:
    """Is told of each request when it ends; nothing in it waits.

    Args:
        settings: which requests go into the log, and whether text may be traced.
        spans: None: no spans are made.
        traces: None: no traces are sampled.
    """

    def __init__(
        self,
        settings: ServeSettings,
        *,
        spans: Spans | None = None,
        traces: SampledTraces | None = None,
    ) -> None:
        self._log_requests = settings.log_requests
        self._with_text = settings.trace_text
        self.spans = spans
        self._traces = traces

    @property
    def trace_outcomes(self) -> Mapping[str, int]:
        """Sampled traces, by what became of them."""
        return {} if self._traces is None else self._traces.outcomes

    def ended(self, seen: RequestTelemetry, said: str | None) -> None:
        """Takes note of a request that has ended.

        Args:
            seen: what is known of it.
            said: what the user said; goes nowhere unless `serve.trace_text` allows.
        """
        seen.total_s = time.monotonic() - seen.started
        if self._traces is not None:
            text = None if said is None or not self._with_text else redact_text(said)
            self._traces.ended(seen, text)
        if self._log_requests == "all" or (self._log_requests == "failed" and seen.status >= 500):
            figures: dict[str, Any] = seen.as_dict()
            log.info("request", response_id=seen.response_id, **figures)

    def close(self) -> None:
        """Sends what waits."""
        if self._traces is not None:
            self._traces.close()
        if self.spans is not None:
            self.spans.close()
