"""Shows a benchmark run in MLflow: its cases as traces, the judges' scores as assessments."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from guidealign.evaluation.benchmarks import BenchmarkAnswer, StoredRun, read_answers
from guidealign.evaluation.scoring.results import rows_of
from guidealign.records import CaseScore, EvaluationRun, Unscored
from guidealign.registry import Assessment, EvaluatedCase, Registry

EXPERIMENT = "guidealign-benchmarks"


def log_to_mlflow(
    run: StoredRun,
    results: Sequence[EvaluationRun],
    *,
    engine: Engine,
    registry: Registry,
    progress: Callable[[int, int], object] | None = None,
) -> str:
    """Makes an MLflow run of it and returns its id.

    Prompts and answers leave the database for MLflow; that is why a setting asks for it.

    Raises:
        ServiceUnavailableError: MLflow does not answer; what is in Postgres stays complete.
    """
    answers = read_answers(engine, run.run_id)
    tags = {"benchmark": run.benchmark, "guidealign.run_id": str(run.run_id)}
    with registry.run(EXPERIMENT, f"{run.benchmark} {run.model_name}", tags=tags) as logged:
        logged.log_params(
            {
                "model": run.model_name,
                "version": run.version,
                "asked": run.asked,
                "source": run.source,
                "source_sha256": run.source_sha256,
                **{f"evaluator.{one.metric}": one.evaluator for one in results},
            }
        )
        logged.log_dataset(
            [{"case_id": a.case_id} for a in answers],
            name=run.benchmark,
            digest=run.cases_digest,
            context="evaluation",
        )
        for done, answer in enumerate(answers, start=1):
            registry.log_case(logged, _case(answer, run, results))
            if progress:
                progress(done, len(answers))
        logged.log_metrics(
            {
                f"{r.metric}/{r.kind}": r.mean
                for r in rows_of(results)
                if r.category == "all" and r.n
            }
        )
    return logged.id


def _case(
    answer: BenchmarkAnswer, run: StoredRun, results: Sequence[EvaluationRun]
) -> EvaluatedCase:
    return EvaluatedCase(
        case_id=answer.case_id,
        prompt=answer.prompt,
        answer=None if answer.answers is None else answer.answer,
        begun_ms=int(run.created_at.timestamp() * 1000),
        latency_ms=answer.latency_ms,
        tags={"category": answer.category, "kind": answer.kind},
        assessments=[
            _assessment(one, case)
            for one in results
            for case in one.cases
            if case.case_id == answer.case_id
        ],
    )


def _assessment(result: EvaluationRun, case: CaseScore | Unscored) -> Assessment:
    return Assessment(
        name=result.metric,
        value=case.value if isinstance(case, CaseScore) else None,
        source=result.evaluator,
        source_kind="CODE" if result.evaluator.startswith("refusal-") else "LLM_JUDGE",
        rationale=case.reason if isinstance(case, Unscored) else None,
    )
