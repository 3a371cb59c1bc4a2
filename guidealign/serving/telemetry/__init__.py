"""What operators see of requests: metrics, spans, sampled traces and the log."""

from guidealign.serving.telemetry.metrics import (
    MULTIPROCESS,
    Metrics,
    forget_process,
    share_metrics,
)
from guidealign.serving.telemetry.request import RequestTelemetry, endpoint_of
from guidealign.serving.telemetry.sampled_traces import SampledTraces, trace_sink
from guidealign.serving.telemetry.sinks import TelemetrySinks
from guidealign.serving.telemetry.spans import (
    OWN_MODEL,
    RequestSpans,
    Spans,
    configured_provider,
)

__all__ = [
    "MULTIPROCESS",
    "OWN_MODEL",
    "Metrics",
    "RequestSpans",
    "RequestTelemetry",
    "SampledTraces",
    "Spans",
    "TelemetrySinks",
    "configured_provider",
    "endpoint_of",
    "forget_process",
    "share_metrics",
    "trace_sink",
]
