"""Cases of an evaluation as MLflow shows them: a trace each, with the judges' assessments."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mlflow.entities import Span, TraceInfo


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """What one judge says of an answer."""

    name: str
    value: float | None
    """None: it has no score, and the rationale says why."""
    source: str
    """The judge's fingerprint."""
    source_kind: Literal["CODE", "LLM_JUDGE"]
    rationale: str | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluatedCase:
    """A prompt, its answer, and what judges say of it."""

    case_id: str
    prompt: str
    answer: str | None
    """None: there was none."""
    begun_ms: int
    latency_ms: float
    tags: Mapping[str, str]
    assessments: Sequence[Assessment]


def as_entities(
    case: EvaluatedCase, experiment_id: str, run_id: str
) -> tuple[TraceInfo, list[Span]]:
    """As MLflow's store takes it: the trace belongs to the run, and so do its assessments."""
    from mlflow.entities import Span, TraceInfo, TraceLocation, TraceState

    otel_id = secrets.token_hex(16)
    trace_id = f"tr-{otel_id}"
    state = TraceState.ERROR if case.answer is None else TraceState.OK
    info = TraceInfo(
        trace_id=trace_id,
        trace_location=TraceLocation.from_experiment_id(experiment_id),
        request_time=case.begun_ms,
        execution_duration=int(case.latency_ms),
        state=state,
        client_request_id=case.case_id,
        request_preview=case.prompt,
        response_preview=case.answer,
        trace_metadata={"mlflow.trace_schema.version": "3", "mlflow.sourceRun": run_id},
        tags={"mlflow.traceName": case.case_id, **case.tags},
        assessments=[_feedback(one, trace_id, run_id) for one in case.assessments],
    )
    begun_ns = case.begun_ms * 1_000_000
    given: dict[str, Any] = {
        "mlflow.traceRequestId": trace_id,
        "mlflow.spanType": "LLM",
        "mlflow.spanInputs": {"prompt": case.prompt},
        "mlflow.spanOutputs": case.answer,
    }
    span: dict[str, Any] = {
        "name": "answer",
        "trace_id": trace_id,
        "span_id": secrets.token_hex(8),
        "parent_span_id": None,
        "start_time_unix_nano": begun_ns,
        "end_time_unix_nano": begun_ns + int(case.latency_ms * 1_000_000),
        "status": {"code": "ERROR" if case.answer is None else "OK", "message": ""},
        "attributes": {key: json.dumps(value) for key, value in given.items()},
        "events": [],
    }
    return info, [Span.from_dict(span)]


def _feedback(told: Assessment, trace_id: str, run_id: str) -> Any:
    from mlflow.entities import AssessmentSource, Feedback
    from mlflow.entities.assessment_error import AssessmentError

    unscored = AssessmentError(error_code="UNSCORED", error_message=told.rationale)
    return Feedback(
        name=told.name,
        value=told.value,
        error=unscored if told.value is None else None,
        source=AssessmentSource(source_type=told.source_kind, source_id=told.source),
        trace_id=trace_id,
        metadata={"mlflow.assessment.sourceRunId": run_id},
        rationale=told.rationale,
    )
