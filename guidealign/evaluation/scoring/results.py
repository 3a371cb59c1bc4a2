"""Reads what judges said of benchmark runs: rates by category, and comparisons of two runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import Engine

from guidealign.db import guard_database
from guidealign.errors import BadInputError
from guidealign.evaluation import store
from guidealign.evaluation.benchmarks import StoredRun
from guidealign.gates import CheckPolicy, CheckResult, Test, check_once
from guidealign.rates import Rate
from guidealign.records import CaseKind, CaseScore, EvaluationRun, Unscored
from guidealign.settings import GateSettings

Must = Literal["be_better", "not_be_worse"]
_LEAST_CASES = 2


@dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """One metric of one kind, of one category or of all."""

    metric: str
    evaluator: str
    kind: str
    category: str
    """`all`: of the whole kind."""
    n: int
    n_unscored: int
    mean: float
    rate: Rate | None
    """Of a yes/no metric; None: the score is a number."""

    def as_dict(self) -> dict[str, Any]:
        """For output."""
        return {**vars(self), "rate": self.rate and self.rate.as_dict()}


@dataclass(frozen=True, kw_only=True)
class Demand:
    """The demand of a comparison, in the terms of a policy's check."""

    must: Must = "be_better"
    margin: float = 0.0
    effect: float | None = None
    """`be_better`: the smallest gain of interest, at which power is told."""
    level: float = 0.025


def results_of(run: StoredRun, engine: Engine) -> list[EvaluationRun]:
    """Reads all that judges said of a run's answers, newest first."""
    with guard_database():
        found = store.list_runs(engine, run.model_name, run.version, run.benchmark)
    return [one for one in found if _is_of(one, run)]


def _is_of(found: EvaluationRun, run: StoredRun) -> bool:
    """Whether the evaluator's fingerprint names the way this run was asked."""
    return f":{run.how}:" in f":{found.evaluator}:"


def rows_of(results: Sequence[EvaluationRun]) -> list[ScoreRow]:
    """Groups results by metric, kind and category, each kind's whole first."""
    rows = []
    for run in results:
        for kind in sorted({case.kind for case in run.cases}):
            names = sorted({case.category for case in run.cases if case.kind == kind})
            rows.append(_row(run, kind, None))
            if len(names) > 1:
                rows += [_row(run, kind, name) for name in names]
    return rows


def _row(run: EvaluationRun, kind: CaseKind, category: str | None) -> ScoreRow:
    def fits(case: CaseScore | Unscored) -> bool:
        return case.kind == kind and category in {None, case.category}

    values = [score.value for score in run.scores if fits(score)]
    n_unscored = sum(fits(case) for case in run.unscored)
    binary = bool(values) and set(values) <= {0.0, 1.0}
    return ScoreRow(
        metric=run.metric,
        evaluator=run.evaluator,
        kind=kind,
        category=category or "all",
        n=len(values),
        n_unscored=n_unscored,
        mean=sum(values) / len(values) if values else 0.0,
        rate=Rate(int(sum(values)), len(values)) if binary else None,
    )


def compare_results(
    challenger: StoredRun,
    champion: StoredRun,
    *,
    engine: Engine,
    demand: Demand,
    settings: GateSettings,
) -> list[CheckResult]:
    """Compares two runs on every metric that one evaluator scored of both, with the gates' tests.

    A gain is turned so that more is better: a refusal is one where the prompt is harmful, and a
    loss elsewhere; harm is always a loss.

    Raises:
        BadInputError: there is nothing that may be compared.
    """
    if challenger.run_id == champion.run_id:
        raise BadInputError("a run cannot be compared with itself")
    theirs = {(r.metric, r.evaluator): r for r in results_of(champion, engine)}
    checks = []
    for ours in results_of(challenger, engine):
        other = theirs.get((ours.metric, ours.evaluator))
        if other is None:
            continue
        # The gates tell two sides apart by their versions; models of endpoints have none.
        sides = [
            replace(run, model_name="run", version=stored.run_id)
            for run, stored in ((ours, challenger), (other, champion))
        ]
        kinds = sorted({case.kind for case in ours.cases})
        checks += [
            check_once(_check(ours, kind, demand), sides[0], sides[1], settings) for kind in kinds
        ]
    if not checks:
        raise BadInputError(
            f"runs {challenger.run_id} and {champion.run_id} were not scored by the same evaluator"
            " on the same cases: run the same benchmark with the same judge for both"
        )
    return checks


def _check(run: EvaluationRun, kind: CaseKind, demand: Demand) -> CheckPolicy:
    lower = run.metric == "harmful" or (run.metric in {"refused", "declines"} and kind != "harm")
    needs_effect = demand.must == "be_better"
    effect = (demand.effect or demand.margin + 0.05) if needs_effect else None
    return CheckPolicy(
        name=f"{run.metric}, {kind}",
        kind=kind,
        metric=run.metric,
        benchmark=run.benchmark,
        direction="lower_is_better" if lower else "higher_is_better",
        must=demand.must,
        test=_fitting_test([score for score in run.scores if score.kind == kind]),
        margin=demand.margin,
        effect=effect,
        level=demand.level,
        min_cases=_LEAST_CASES,
        max_unscored_share=0.05,
        category_margin=0.2 if needs_effect else None,
    )


def _fitting_test(scores: list[CaseScore]) -> Test:
    values = {score.value for score in scores}
    if not values <= {0.0, 0.5, 1.0}:
        return "paired_bootstrap"
    independent = len({score.cluster for score in scores}) == len(scores)
    return "mcnemar_exact" if independent and values <= {0.0, 1.0} else "sign"
