"""Shares of simulated challengers as figures, and how a level is spent in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from benchmarks._harness.report import Figure
from guidealign.gates import interim_level
from guidealign.gates.policy import InterimPlan

LEVEL = 0.05
"""One-sided, over all looks together."""
DAYS = 10
CASES = 939
ONCE = InterimPlan(spending="even", planned=1)
PLANS = {
    "open_ended": InterimPlan(),
    "even": InterimPlan(spending="even", planned=DAYS),
    "obrien_fleming": InterimPlan(spending="obrien_fleming", planned=DAYS),
}


def levels(plan: InterimPlan) -> NDArray[np.float64]:
    """Of each day, (DAYS,)."""
    return np.array([interim_level(LEVEL, day + 1, plan) for day in range(DAYS)])


def share(name: str, passed: ArrayLike, *, at_most: float | None = None, note: str = "") -> Figure:
    """How many passed, with Clopper and Pearson's interval; (challengers,)."""
    found = _passed(name, passed, note)
    if at_most is None:
        return found
    return replace(found, target=f"<= {at_most}", met=found.value <= at_most)


def power(name: str, passed: ArrayLike, stated: float, *, at_least: float | None = None) -> Figure:
    """How many better challengers passed, beside the power that the gate states."""
    found = _passed(name, passed, f"the gate states {stated:.3f}")
    if at_least is None:
        return found
    return replace(found, target=f">= {at_least}", met=found.value >= at_least)


def _passed(name: str, passed: ArrayLike, note: str) -> Figure:
    among = np.asarray(passed, dtype=bool)
    n, hits = len(among), int(among.sum())
    low, high = stats.binomtest(hits, n).proportion_ci(method="exact")
    return Figure(
        figure=name,
        value=hits / n,
        unit="of challengers",
        n=n,
        note="; ".join(part for part in (f"95%: {low:.3f} to {high:.3f}", note) if part),
    )
