"""Tests, intervals and power for wins and losses on the same cases.

A case is won, lost or tied. The gain is (wins - losses) / n, for yes/no metrics the
difference of the two rates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from guidealign.rates import tango_score

_MOST_CASES = 10_000_000
_REACH_SD = 8.0


@dataclass(frozen=True, kw_only=True)
class CountQuestion:
    """A question about wins and losses.

    Args:
        bar: what the gain must be shown to lie above, in (-1, 1).
        level: one-sided.
        mid_p: half of the observed outcome's probability counts: less careful, more power.
    """

    bar: float = 0.0
    level: float = 0.025
    mid_p: bool = False


def p_of_counts(wins: int, losses: int, n: int, question: CountQuestion) -> float:
    """Returns the chance of so many wins or more if the true gain were at the bar.

    At a bar of 0, McNemar's exact test (or mid-p), which is the sign test: ties tell nothing.
    At another, Tango's score test (Statistics in Medicine 17, 1998, 891-908), in which they do.
    """
    changed = wins + losses
    if question.bar:
        return float(stats.norm.sf(tango_score(wins, losses, n, question.bar)))
    if not changed:
        return 1.0
    p = float(stats.binomtest(wins, changed, 0.5, alternative="greater").pvalue)
    return p - 0.5 * float(stats.binom.pmf(wins, changed, 0.5)) if question.mid_p else p


def power_of_counts(n: int, changed: float, gain: float, question: CountQuestion) -> float:
    """Returns the power with n cases, of which a share `changed` is not tied, at a true gain.

    Exact at a bar of 0, a normal approximation at another.
    """
    changed = min(1.0, max(changed, abs(gain), abs(question.bar)))
    if question.bar:
        z = stats.norm.isf(question.level)
        at_bar = math.sqrt((changed - question.bar**2) / n)
        at_gain = math.sqrt((changed - gain**2) / n) or 1e-12
        return float(stats.norm.cdf((gain - question.bar - z * at_bar) / at_gain))
    middle, spread = n * changed, _REACH_SD * math.sqrt(n * changed * (1 - changed))
    totals = np.arange(max(1, math.floor(middle - spread)), min(n, math.ceil(middle + spread)) + 1)
    least = _least_wins(totals, question)  # (totals,)
    passing = stats.binom.sf(least - 1, totals, (changed + gain) / (2 * changed))
    return float(np.sum(stats.binom.pmf(totals, n, changed) * passing))


def _least_wins(totals: np.ndarray, question: CountQuestion) -> np.ndarray:
    """The fewest wins that pass, for each number of changed cases; more than all: none do."""
    beaten = stats.binom.isf(question.level, totals, 0.5)  # P(more than this) <= level
    if not question.mid_p:
        return np.asarray(beaten + 1)
    middle = stats.binom.sf(beaten - 1, totals, 0.5) - 0.5 * stats.binom.pmf(beaten, totals, 0.5)
    return np.where(middle <= question.level, beaten, beaten + 1)


def cases_of_counts(
    power: float, changed: float, gain: float, question: CountQuestion
) -> int | None:
    """The fewest cases with that power; None: more than ten million."""
    low, high = 1, 2
    while power_of_counts(high, changed, gain, question) < power:
        low, high = high, high * 2
        if high > _MOST_CASES:
            return None
    while high - low > max(1, low // 1000):
        middle = (low + high) // 2
        if power_of_counts(middle, changed, gain, question) < power:
            low = middle
        else:
            high = middle
    return high
