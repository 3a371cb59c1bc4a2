"""Published benchmarks and the user's own: loaded, answered by a model, judged, compared."""

from guidealign.evaluation.benchmarks.load import (
    KNOWN,
    STARTER,
    BenchmarkKind,
    load_benchmark,
)
from guidealign.evaluation.benchmarks.model import KINDS, Benchmark, Case

__all__ = ["KINDS", "KNOWN", "STARTER", "Benchmark", "BenchmarkKind", "Case", "load_benchmark"]
