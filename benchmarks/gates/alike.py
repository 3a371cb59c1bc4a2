"""Gains that are alike within categories, and gains with a few great losses: none is better."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks._harness.report import Figure
from benchmarks.gates.shares import share
from guidealign.gates.paired_statistics.comparison import (
    GainAnswer,
    GainQuestion,
    compare,
)

LEVEL = 0.025
"""One-sided, as the shipped policies have it."""
_RESAMPLES = 1_000
_SEED = 90
_SIZES = {
    "14 categories of 4": [4] * 14,
    "8 categories of 7": [7] * 8,
    "8 categories of 4 and 6 of 10": [4] * 8 + [10] * 6,
    "5 categories of 5": [5] * 5,
}


def alike_gains(
    sizes: list[int], correlation: float, gain: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Gains of unit variance around a mean, so correlated within categories of these sizes."""
    shared = rng.normal(0, np.sqrt(correlation), len(sizes))
    own = rng.normal(0, np.sqrt(1 - correlation), sum(sizes))
    return gain + np.repeat(shared, sizes) + own


def answer(
    gains: NDArray[np.float64], sizes: list[int] | None = None, level: float = LEVEL
) -> GainAnswer:
    """What the gates' test says of a gain above 0; None: only prompts are clusters."""
    categories = None if sizes is None else np.repeat(np.arange(len(sizes)), sizes).tolist()
    question = GainQuestion(
        test="paired_bootstrap", bar=0.0, target=0.5, level=level, resamples=_RESAMPLES
    )
    return compare(gains, range(len(gains)), question, categories)


def _alike(sizes: list[int], correlation: float, gain: float, seed: int) -> tuple[bool, bool]:
    gains = alike_gains(sizes, correlation, gain, np.random.default_rng(seed))
    return answer(gains).p_above <= LEVEL, answer(gains, sizes).p_above <= LEVEL


def _skewed(
    draw: Callable[[np.random.Generator], NDArray[np.float64]], gain: float, level: float, seed: int
) -> tuple[bool, bool]:
    found = answer(gain + draw(np.random.default_rng(seed)), level=level)
    passes = found.p_above <= level
    return passes, passes and found.n_clusters >= found.cases_for_skew


def lognormal_losses(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Many small gains and a few very great losses; mean 0."""
    return np.exp(0.5) - rng.lognormal(0.0, 1.0, n)


def exponential_losses(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Many small gains and a few great losses; mean 0."""
    return 1.0 - rng.exponential(1.0, n)


def normal_gains(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Of mean 0."""
    return rng.normal(0.0, 1.0, n)


def measure_alike(full: bool) -> list[Figure]:
    """Of challengers that are no better, and of some that are, by how alike a category is."""
    n = 2_000 if full else 200
    figures = []
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for called, sizes in _SIZES.items():
            for correlation in (0.0, 0.2, 0.5):
                ask = partial(_alike, sizes, correlation, 0.0)
                by_case, by_both = zip(
                    *pool.map(ask, range(_SEED, _SEED + n), chunksize=50), strict=True
                )
                name = f"alike: {called}, correlation {correlation:g}, none better"
                figures += [
                    share(f"{name}: clusters by case", by_case),
                    share(f"{name}: measured", by_both, at_most=LEVEL),
                ]
            gain = 3.2 / np.sqrt(sum(sizes))
            ask = partial(_alike, sizes, 0.0, gain)
            by_case, by_both = zip(
                *pool.map(ask, range(_SEED, _SEED + n), chunksize=50), strict=True
            )
            name = f"alike: {called}, correlation 0, a gain of 3.2 standard errors"
            figures += [
                share(f"{name}: clusters by case", by_case),
                share(f"{name}: measured", by_both),
            ]
    return figures


def measure_skew(full: bool) -> list[Figure]:
    """Of challengers whose many small gains and few great losses come to nothing."""
    n = 4_000 if full else 400
    asked: list[tuple[str, Callable[..., NDArray[np.float64]], int, float, float]] = [
        *(
            ("log-normal losses", lognormal_losses, cases, 0.0, LEVEL)
            for cases in (12, 20, 56, 200)
        ),
        ("exponential losses", exponential_losses, 200, 0.0, LEVEL),
        ("exponential losses", exponential_losses, 200, 0.0, 2 * LEVEL),
        *(("normal gains", normal_gains, cases, 0.0, LEVEL) for cases in (20, 56)),
        *(("normal gains", normal_gains, cases, 3.2 / np.sqrt(cases), LEVEL) for cases in (20, 56)),
        ("exponential losses", exponential_losses, 200, 3.2 / np.sqrt(200), LEVEL),
    ]
    figures = []
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for what, draw, cases, gain, level in asked:
            ask = partial(_skewed, partial(draw, cases), gain, level)
            before, after = zip(*pool.map(ask, range(_SEED, _SEED + n), chunksize=100), strict=True)
            truth = "a gain of 3.2 standard errors" if gain else "none better"
            name = f"skew: {what}, {cases} cases, level {level:g}, {truth}"
            figures += [
                share(f"{name}: the test alone", before),
                share(
                    f"{name}: with the cases that skewed gains take",
                    after,
                    at_most=None if gain else level,
                ),
            ]
    return figures
