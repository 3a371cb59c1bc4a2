"""Guidance: what variants of the policy do to the bundled models, and whether one is proven.

For each of the two: all variants on the part `choosing`, and the chosen one before its gate on
`gating`. `--part unseen` asks the part that nothing else looks at, once, at the end. Answers and
verdicts are kept in the cache folder, so a run that was stopped goes on; `--scale small` asks few.
"""

from __future__ import annotations

from functools import partial

from benchmarks._harness.parts import Measure, run_parts
from benchmarks.guidance.labelled import measure_labelled
from benchmarks.guidance.measured import measure_model, measure_named, measure_unseen

if __name__ == "__main__":
    parts: dict[str, Measure] = {
        "0.5b": partial(measure_model, "0.5b"),
        "1.5b": partial(measure_model, "1.5b"),
        "unseen": measure_unseen,
        "labelled": measure_labelled,
        "named": partial(measure_named, "1.5b"),
    }
    run_parts("guidance", parts, on_demand=("unseen", "named"))
