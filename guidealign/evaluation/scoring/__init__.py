"""Scoring takes a benchmark from its name to the scores of its judges, and shows them."""

from guidealign.evaluation.scoring.results import (
    Demand,
    ScoreRow,
    compare_results,
    results_of,
    rows_of,
)
from guidealign.evaluation.scoring.run_benchmark import (
    BenchmarkSource,
    Evaluated,
    judge_run_pair,
    run_benchmark,
    run_likelihood,
)

__all__ = [
    "BenchmarkSource",
    "Demand",
    "Evaluated",
    "ScoreRow",
    "compare_results",
    "judge_run_pair",
    "results_of",
    "rows_of",
    "run_benchmark",
    "run_likelihood",
]
