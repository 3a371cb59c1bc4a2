"""Yes/no metrics: McNemar's tests and the sign test on drawn wins and losses."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from benchmarks._harness.report import Figure
from benchmarks.gates.shares import (
    CASES,
    DAYS,
    LEVEL,
    ONCE,
    PLANS,
    levels,
    power,
    share,
)
from guidealign.gates import interim_level
from guidealign.gates.paired_statistics.comparison import GainQuestion, compare_counts
from guidealign.gates.paired_statistics.counts import CountQuestion, p_of_counts
from guidealign.gates.policy import InterimPlan

_CHANGED = 0.06
"""Share of cases on which a challenger's verdict differs, as many for the better as not."""
_MARGIN = 0.02
_SEED = 20


@cache
def _p(wins: int, losses: int, n: int, bar: float, mid_p: bool) -> float:
    return p_of_counts(wins, losses, n, CountQuestion(bar=bar, mid_p=mid_p))


def _p_values(
    counts: NDArray[np.int64], bar: float = 0.0, *, mid_p: bool = False
) -> NDArray[np.float64]:
    """Of (..., 3) wins, losses, ties."""
    flat = counts.reshape(-1, 3).tolist()
    found = [_p(wins, losses, wins + losses + ties, bar, mid_p) for wins, losses, ties in flat]
    return np.array(found).reshape(counts.shape[:-1])


def _draw(
    n_challengers: int, gain: float, rng: np.random.Generator
) -> dict[str, NDArray[np.int64]]:
    """Wins, losses and ties on ten days, (challengers, DAYS, 3)."""
    shares = [(_CHANGED + gain) / 2, (_CHANGED - gain) / 2, 1 - _CHANGED]
    size = (n_challengers, DAYS)
    daily = rng.multinomial(CASES // DAYS, shares, size=size)
    return {
        "one challenger, new cases each day": daily.cumsum(axis=1),
        "a new challenger each day": rng.multinomial(CASES, shares, size=size),
    }


def measure_rates(full: bool) -> list[Figure]:
    """No challenger is better; the margin's is exactly as much worse as it may not be."""
    n, rng = 10_000 if full else 1_000, np.random.default_rng(_SEED)
    equal, worse = _draw(n, 0.0, rng), _draw(n, -_MARGIN, rng)
    fresh = equal["a new challenger each day"][:, 0]
    tests = {"McNemar exact and sign": False, "McNemar mid-p": True}
    figures = [
        share(f"yes/no: {name}, one look", _p_values(fresh, mid_p=mid) <= LEVEL, at_most=LEVEL)
        for name, mid in tests.items()
    ]
    margin = _p_values(worse["a new challenger each day"][:, 0], -_MARGIN)
    name = f"not worse by {_MARGIN:g}, worse by just that"
    figures.append(share(f"yes/no: {name}, one look", margin <= LEVEL, at_most=LEVEL))
    figures.append(share("yes/no: rule 'more cases won', one look", fresh[:, 0] > fresh[:, 1]))
    for how in equal:
        for test, mid in tests.items():
            ps = _p_values(equal[how], mid_p=mid)
            for plan, spent in PLANS.items():
                passed = (ps <= levels(spent)).any(axis=1)
                figures.append(
                    share(f"yes/no: {test}, {DAYS} looks, {plan}; {how}", passed, at_most=LEVEL)
                )
        passed = (_p_values(worse[how], -_MARGIN) <= levels(InterimPlan())).any(axis=1)
        figures.append(
            share(f"yes/no: {name}, {DAYS} looks, open_ended; {how}", passed, at_most=LEVEL)
        )
        uncorrected = (_p_values(equal[how]) <= LEVEL).any(axis=1)
        figures.append(share(f"yes/no: exact test at 0.05 each day; {how}", uncorrected))
        ahead = (equal[how][..., 0] > equal[how][..., 1]).any(axis=1)
        figures.append(share(f"yes/no: rule 'more cases won' each day; {how}", ahead))
    return figures


def measure_power(full: bool) -> list[Figure]:
    """Challengers with a true gain, on as many cases as the paper's benchmark has."""
    n, rng = 10_000 if full else 1_000, np.random.default_rng(_SEED + 1)
    drawn = _draw(n, 2 * _MARGIN, rng)
    once = drawn["a new challenger each day"][:, 0]
    first = interim_level(LEVEL, 1, InterimPlan())
    figures = []
    asked = {
        f"more than 0, McNemar exact, gain {2 * _MARGIN:g}": (0.0, 2 * _MARGIN, once),
        f"more than the margin {_MARGIN:g}, gain {2 * _MARGIN:g}": (_MARGIN, 2 * _MARGIN, once),
        f"not worse by {_MARGIN:g}, gain {2 * _MARGIN:g}": (-_MARGIN, 2 * _MARGIN, once),
        f"not worse by {_MARGIN:g}, equal models": (-_MARGIN, 0.0, _equal(n, rng)),
        f"more than 0, McNemar exact, gain {_MARGIN:g}": (0.0, _MARGIN, _equal(n, rng, _MARGIN)),
    }
    for name, (bar, gain, counts) in asked.items():
        for when, level in (("one look", LEVEL), ("first open_ended look", first)):
            question = GainQuestion(test="mcnemar_exact", bar=bar, target=gain, level=level)
            stated = compare_counts(
                round(CASES * (_CHANGED + gain) / 2),
                round(CASES * (_CHANGED - gain) / 2),
                CASES,
                question,
            ).power
            figures.append(
                power(
                    f"power: {name}; {when}",
                    _p_values(counts, bar) <= level,
                    stated,
                    at_least=0.8 if gain == 2 * _MARGIN and when == "one look" else None,
                )
            )
    growing = _p_values(drawn["one challenger, new cases each day"])
    plans = {**PLANS, "only the last day": ONCE}
    for plan, spent in plans.items():
        at = levels(spent) if spent is not ONCE else np.array([0.0] * (DAYS - 1) + [LEVEL])
        passed = (growing <= at).any(axis=1)
        figures.append(share(f"power: {DAYS} looks as cases come in, {plan}", passed))
    return figures


def _equal(n: int, rng: np.random.Generator, gain: float = 0.0) -> NDArray[np.int64]:
    return rng.multinomial(
        CASES, [(_CHANGED + gain) / 2, (_CHANGED - gain) / 2, 1 - _CHANGED], size=n
    )
