"""Finds the stored runs of the benchmarks that a gate policy names."""

from __future__ import annotations

from sqlalchemy import Engine

from guidealign.db import guard_database
from guidealign.evaluation import store
from guidealign.evaluation.policy import load_policy
from guidealign.records import EvaluationRun
from guidealign.settings import Settings

_Runs = tuple[EvaluationRun, ...]


def named_runs(
    model_name: str,
    challenger: EvaluationRun,
    champion: EvaluationRun,
    engine: Engine,
    settings: Settings,
) -> tuple[_Runs, _Runs]:
    """Returns each side's own run, and its stored runs of the benchmarks that the policy names.

    Of several evaluators the newest one that scored both sides is taken. Where none did, each
    side's newest goes to the gate, which refuses to compare them and says so.
    """
    policy = load_policy(model_name, settings.gates.policy_folder)
    wanted = {
        (check.benchmark, check.metric or policy.metric)
        for check in policy.checks
        if check.benchmark is not None
    }
    own = {(run.benchmark, run.metric) for run in (challenger, champion)}
    sides: tuple[list[EvaluationRun], list[EvaluationRun]] = ([challenger], [champion])
    for benchmark, metric in sorted(wanted - own):
        with guard_database():
            found = [
                [
                    run
                    for run in store.list_runs(engine, model_name, one.version, benchmark)
                    if run.metric == metric
                ]
                for one in (challenger, champion)
            ]
        for side, run in zip(sides, _of_one_evaluator(*found), strict=True):
            side.extend(run)
    return tuple(sides[0]), tuple(sides[1])


def _of_one_evaluator(
    ours: list[EvaluationRun], theirs: list[EvaluationRun]
) -> tuple[_Runs, _Runs]:
    common = {run.evaluator for run in theirs}
    for run in ours:
        if run.evaluator in common:
            return (run,), tuple(t for t in theirs if t.evaluator == run.evaluator)
    return tuple(ours[:1]), tuple(theirs[:1])
