"""A gate that is asked repeatedly spends its level over interim analyses ("looks")."""

from __future__ import annotations

import math

from scipy import stats

from guidealign.gates.policy import InterimPlan


def interim_level(level: float, look: int, plan: InterimPlan) -> float:
    """Returns the level of the k-th interim analysis of a champion; 0 when all is spent.

    All looks together spend at most the level, so by Boole's inequality a challenger that is no
    better passes at one of them with at most that chance, whether the looks share their cases,
    have new ones, or each has another challenger.

    Args:
        level: one-sided, of all looks together.
        look: 1 is the first.
        plan: `open_ended` spends 6 / (pi k)^2, for ever; `even` the same on each planned look;
            `obrien_fleming` little at first and most on the last (Lan and DeMets 1983).

    Raises:
        ValueError: `look` is below 1.
    """
    if look < 1:
        raise ValueError(f"looks are counted from 1, not {look}")
    if plan.planned is None:
        return level * 6 / (math.pi * look) ** 2
    if look > plan.planned:
        return 0.0
    if plan.spending == "even":
        return level / plan.planned
    return _spent(level, look / plan.planned) - _spent(level, (look - 1) / plan.planned)


def _spent(level: float, share: float) -> float:
    """Returns the level spent once a share of the looks is over; (0 to 1) to (0 to level)."""
    if share == 0:
        return 0.0
    return float(2 * stats.norm.sf(stats.norm.isf(level / 2) / math.sqrt(share)))


def holm(p_values: list[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: each to be held against the whole level."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, greatest = [1.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        greatest = max(greatest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = greatest
    return adjusted
