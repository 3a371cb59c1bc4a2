"""What gates let through: challengers that are no better, asked about once and on ten days.

Every part draws its data once and shows it to the gates and to rules that people use instead.
`--scale small` is the same with a tenth of the challengers.
"""

from __future__ import annotations

from benchmarks._harness.parts import run_parts
from benchmarks.gates.alike import measure_alike, measure_skew
from benchmarks.gates.judged import measure_coverage, measure_judged
from benchmarks.gates.means import measure_means
from benchmarks.gates.paper import measure_paper
from benchmarks.gates.rates import measure_power, measure_rates
from benchmarks.gates.shifts import measure_drift, measure_shifts
from benchmarks.gates.whole import measure_whole

if __name__ == "__main__":
    run_parts(
        "gates",
        {
            "yes/no": measure_rates,
            "means": measure_means,
            "whole policy": measure_whole,
            "power": measure_power,
            "paper": measure_paper,
            "refusal shift": measure_shifts,
            "drift": measure_drift,
            "alike": measure_alike,
            "skew": measure_skew,
            "corrected judge false": measure_judged,
            "coverage": measure_coverage,
        },
    )
