"""Labrador: how fast it is fine-tuned and evaluated, what guidelines and fine-tuning do to answers.

`--scale small` does less of the same; `--part` measures some parts anew and leaves the other
figures as they are.
"""

from __future__ import annotations

from benchmarks._harness.parts import run_parts, with_postgres
from benchmarks.labrador.alignment import measure_alignment
from benchmarks.labrador.evaluation import measure_evaluation
from benchmarks.labrador.guidance import measure_guidance
from benchmarks.labrador.throughput import measure_throughput

if __name__ == "__main__":
    parts = {
        "throughput": measure_throughput,
        "evaluation": with_postgres(measure_evaluation),
        "alignment": measure_alignment,
        "guidance": measure_guidance,
    }
    run_parts("labrador", parts)
