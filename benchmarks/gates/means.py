"""Metrics that are numbers: the clustered bootstrap on drawn gains."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks._harness.report import Figure
from benchmarks.gates.shares import CASES, DAYS, LEVEL, levels, power, share
from guidealign.gates.paired_statistics.comparison import GainQuestion, compare
from guidealign.gates.policy import InterimPlan

_PROMPTS, _PARAPHRASES = 100, 2
_RESAMPLES = 1_000
_MARGIN, _SPREAD = 0.05, 0.5
_SEED = 40


def _even(rng: np.random.Generator) -> NDArray[np.float64]:
    """Gains of two paraphrases a prompt, which agree in part; heavy tails, mean 0."""
    prompts = np.repeat(rng.standard_t(5, _PROMPTS), _PARAPHRASES)
    return prompts + rng.standard_t(5, _PROMPTS * _PARAPHRASES)


def _skewed(rng: np.random.Generator) -> NDArray[np.float64]:
    """Mostly small gains, and a few great losses: mean 0, one prompt a case."""
    return 1 - rng.exponential(1.0, _PROMPTS * _PARAPHRASES)


def _clusters(gains: NDArray[np.float64], per_prompt: int) -> NDArray[np.int64]:
    return np.arange(len(gains)) // per_prompt


def _p(gains: NDArray[np.float64], per_prompt: int, level: float) -> float:
    question = GainQuestion(
        test="paired_bootstrap", bar=0.0, target=0.2, level=level, resamples=_RESAMPLES
    )
    return compare(gains, _clusters(gains, per_prompt).tolist(), question).p_above


def _one_look(
    draw: Callable[[np.random.Generator], NDArray[np.float64]], per_prompt: int, seed: int
) -> tuple[bool, bool, bool, bool]:
    """Passes of: our gate, scipy's percentile interval of cases, a paired t-test, the mean."""
    gains = draw(np.random.default_rng(seed))
    plain = stats.bootstrap(
        (gains,),
        np.mean,
        vectorized=True,
        n_resamples=_RESAMPLES,
        method="percentile",
        confidence_level=1 - 2 * LEVEL,
        rng=np.random.default_rng(seed),
    ).confidence_interval.low
    return (
        _p(gains, per_prompt, LEVEL) <= LEVEL,
        bool(plain > 0),
        bool(stats.ttest_1samp(gains, 0.0, alternative="greater").pvalue <= LEVEL),
        bool(gains.mean() > 0),
    )


def _ten_looks(growing: bool, seed: int) -> tuple[bool, bool, bool]:
    """Passes on any day of: our gate, the same test at the whole level, the mean."""
    rng, spent = np.random.default_rng(seed), levels(InterimPlan())
    everything = [_even(rng) for _ in range(1 if growing else DAYS)]
    passed = np.zeros(3, dtype=bool)
    for day in range(DAYS):
        gains = (
            everything[0][: (day + 1) * len(everything[0]) // DAYS] if growing else everything[day]
        )
        p = _p(gains, _PARAPHRASES, float(spent[day]))
        passed |= np.array([p <= spent[day], p <= LEVEL, gains.mean() > 0])
    return bool(passed[0]), bool(passed[1]), bool(passed[2])


def _better(bar: float, gain: float, seed: int) -> tuple[bool, float]:
    """Whether a better challenger passes, and the power that the gate states."""
    gains = np.random.default_rng(seed).normal(gain, _SPREAD, CASES)
    question = GainQuestion(
        test="paired_bootstrap", bar=bar, target=gain, level=LEVEL, resamples=_RESAMPLES
    )
    found = compare(gains, range(CASES), question)
    return found.p_above <= LEVEL, found.power


def measure_means(full: bool) -> list[Figure]:
    """No challenger is better on 200 cases."""
    seeds = range(_SEED, _SEED + (1_000 if full else 100))
    figures = []
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:

        def ask(look: Callable[[int], tuple[float, ...]]) -> NDArray[np.float64]:
            return np.array(list(pool.map(look, seeds, chunksize=20))).T

        rules = ("rule 'percentile interval of cases'", "rule 'paired t-test of cases'")
        for what, draw, per in (
            ("2 paraphrases a prompt", _even, _PARAPHRASES),
            ("few great losses, many small gains", _skewed, 1),
        ):
            ours, *others = ask(partial(_one_look, draw, per))
            figures.append(share(f"means: one look; {what}", ours, at_most=LEVEL))
            for rule, passed in zip((*rules, "rule 'higher mean'"), others, strict=True):
                figures.append(share(f"means: {rule}, one look; {what}", passed))
        for how, growing in (
            ("one challenger, new cases each day", True),
            ("a new challenger each day", False),
        ):
            ours, same, higher = ask(partial(_ten_looks, growing))
            figures += [
                share(f"means: {DAYS} looks, open_ended; {how}", ours, at_most=LEVEL),
                share(f"means: the same test at 0.05 each day; {how}", same),
                share(f"means: rule 'higher mean' each day; {how}", higher),
            ]
        for name, bar, gain in (
            (f"more than the margin {_MARGIN:g}, gain {2 * _MARGIN:g}", _MARGIN, 2 * _MARGIN),
            (f"not worse by {_MARGIN:g}, equal models", -_MARGIN, 0.0),
        ):
            passed, stated = ask(partial(_better, bar, gain))
            figures.append(
                power(
                    f"means: {name}, spread {_SPREAD:g}, {CASES} cases, one look",
                    passed,
                    float(np.median(stated)),
                    at_least=0.8,
                )
            )
    return figures
