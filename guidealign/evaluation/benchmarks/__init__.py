"""Published benchmarks and the user's own: loaded, and answered by a model."""

from guidealign.evaluation.benchmarks.answer import answer_benchmark
from guidealign.evaluation.benchmarks.evaluation_set import (
    PARTS,
    TWINS,
    EvaluationPart,
    load_evaluation_set,
)
from guidealign.evaluation.benchmarks.load import (
    KNOWN,
    STARTER,
    BenchmarkKind,
    benchmark_kinds,
    load_benchmark,
)
from guidealign.evaluation.benchmarks.model import KINDS, Benchmark, BenchmarkCase
from guidealign.evaluation.benchmarks.runs import BenchmarkAnswer, BenchmarkSubject, StoredRun
from guidealign.evaluation.benchmarks.store import list_runs, open_run, read_answers, read_run

__all__ = [
    "KINDS",
    "KNOWN",
    "PARTS",
    "STARTER",
    "TWINS",
    "Benchmark",
    "BenchmarkAnswer",
    "BenchmarkCase",
    "BenchmarkKind",
    "BenchmarkSubject",
    "EvaluationPart",
    "StoredRun",
    "answer_benchmark",
    "benchmark_kinds",
    "list_runs",
    "load_benchmark",
    "load_evaluation_set",
    "open_run",
    "read_answers",
    "read_run",
]
