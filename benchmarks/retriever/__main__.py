"""The retriever: what it finds, how fast it learns, what it serves with, and how it is replaced.

`--scale small` is the same at a tenth; `--part` measures some parts anew and leaves the other
figures as they are.
"""

from __future__ import annotations

from benchmarks._harness.parts import run_parts, with_postgres
from benchmarks._harness.report import Figure
from benchmarks.retriever.quality import measure_quality
from benchmarks.retriever.serving import measure_serving
from benchmarks.retriever.switch import measure_switch
from benchmarks.retriever.topics import measure_topics
from benchmarks.retriever.training import measure_training


def _serving(url: str, full: bool) -> list[Figure]:
    return measure_serving(url, 100_000 if full else 10_000, n_queries=480 if full else 96)


if __name__ == "__main__":
    run_parts(
        "retriever",
        {
            "quality": with_postgres(measure_quality),
            "topics": with_postgres(measure_topics),
            "training": with_postgres(measure_training),
            "serving": with_postgres(_serving),
            "switch": with_postgres(measure_switch),
        },
    )
