"""Gates whose metric is a judge's word: as it is, and corrected with people's labels."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from benchmarks._harness.report import Figure
from benchmarks.gates.shares import share
from guidealign.gates import JudgeDemand, choose_for_labels
from guidealign.gates.paired_statistics.comparison import GainQuestion, compare
from guidealign.gates.paired_statistics.judged import (
    CorrectedMean,
    agreement,
    correct_mean,
    labels_for_power,
)
from guidealign.rates import Rate, rogan_gladen_interval

LEVEL = 0.025
CASES, LABELS = 800, 200
_HARMFUL = 0.2
"""Share of the champion's answers."""
_CHANGED = 0.16
"""Share of cases on which the challenger's answer differs from the champion's in harm."""
MARGIN = 0.05
_AT_MOST = 0.05
_KAPPAS = (0.2, 0.5, 0.8)
_SEED = 120
_COVERED = (0.94, 0.96)


@dataclass(frozen=True)
class Drawn:
    """Paired gains of n cases, (n,) each: more is less harm."""

    people: NDArray[np.float64]
    judge: NDArray[np.float64]
    answers: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None
    """What the judge says of both sides' answers, (2 n,), and what people would."""


def error_rate(kappa: float) -> float:
    """How often a judge errs, as often either way, whose agreement is kappa at a fifth harmful."""

    def miss(error: float) -> float:
        said = _HARMFUL * (1 - error) + (1 - _HARMFUL) * error
        chance = _HARMFUL * said + (1 - _HARMFUL) * (1 - said)
        return (1 - error - chance) / (1 - chance) - kappa

    return float(optimize.brentq(miss, 0.0, 0.5))


def draw(
    kappa: float, loss: float, rng: np.random.Generator, *, fooled: bool, n: int = CASES
) -> Drawn:
    """Both models' answers under people and under a judge.

    Args:
        kappa: of the judge.
        loss: by how much the challenger is worse.
        rng: of the draw.
        fooled: the judge likes the challenger's style: of its errors, thrice as many are in the
            challenger's favour as against it.
        n: cases.
    """
    champion = rng.random(n) < _HARMFUL
    worse = rng.random(n) < (_CHANGED + loss) / 2 / (1 - _HARMFUL)
    better = rng.random(n) < (_CHANGED - loss) / 2 / _HARMFUL
    challenger = np.where(champion, ~better, worse)
    error, lean = error_rate(kappa), 0.5 if fooled else 0.0

    def said(truth: NDArray[np.bool_], favour: float) -> NDArray[np.bool_]:
        missed = rng.random(n) < error * (1 + favour)
        made_up = rng.random(n) < error * (1 - favour)
        return np.where(truth, ~missed, made_up)

    of_champion, of_challenger = said(champion, -lean), said(challenger, lean)
    return Drawn(
        people=champion.astype(float) - challenger,
        judge=of_champion.astype(float) - of_challenger,
        answers=(
            np.concatenate([of_champion, of_challenger]),
            np.concatenate([champion, challenger]),
        ),
    )


def corrected(
    drawn: Drawn, n_labels: int, rng: np.random.Generator, *, stratified: bool = False
) -> CorrectedMean:
    """With labels of cases drawn at random, or evenly over what the judge says."""
    n = len(drawn.judge)
    strata = drawn.judge.astype(int).tolist() if stratified else [0] * n
    chosen = choose_for_labels(n_labels, strata, seed=int(rng.integers(2**31)))
    people = np.full(n, np.nan)
    people[chosen] = drawn.people[chosen]
    return correct_mean(drawn.judge, people, range(n), strata)


def passes(
    kappa: float, loss: float, bar: float, fooled: bool, n_labels: int, seed: int
) -> tuple[bool, bool, bool]:
    """Whether a challenger passes by the judge alone, corrected, and by the labels alone."""
    rng = np.random.default_rng(seed)
    drawn = draw(kappa, loss, rng, fooled=fooled)
    question = GainQuestion(
        test="paired_bootstrap", bar=bar, target=max(0.0, bar + MARGIN), level=LEVEL, resamples=500
    )
    alone = compare(drawn.judge, range(CASES), question).p_above
    found = corrected(drawn, n_labels, rng)
    return (
        alone <= LEVEL,
        found.corrected.p_values(bar)[0] <= LEVEL,
        found.people.p_values(bar)[0] <= LEVEL,
    )


def is_usable(kappa: float, n_labels: int, seed: int) -> bool:
    """Whether so many labels show the agreement that a policy asks for by default."""
    rng, demand = np.random.default_rng(seed), JudgeDemand()
    answers = draw(kappa, 0.0, rng, fooled=False, n=n_labels).answers
    assert answers is not None
    clusters = [*range(n_labels)] * 2
    said, truth = (side.astype(float) for side in answers)
    found = agreement(said, truth, np.ones(2 * n_labels), clusters)
    return found.kappa >= demand.least_kappa and found.low >= demand.least_bound


def measure_judged(full: bool) -> list[Figure]:
    """No challenger is better than the bar; a judge that errs alike, or is fooled."""
    n = 1_000 if full else 100
    figures = []
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for kappa in _KAPPAS:
            for what, loss, bar, fooled in (
                ("no-difference challengers must be better", 0.0, 0.0, False),
                (
                    "no-difference challengers whose style the judge likes must be better",
                    0.0,
                    0.0,
                    True,
                ),
                (f"challengers worse by the margin {MARGIN:g} must not be", MARGIN, -MARGIN, False),
                (
                    f"challengers worse by the margin {MARGIN:g} whose style the judge likes"
                    " must not be",
                    MARGIN,
                    -MARGIN,
                    True,
                ),
            ):
                ask = partial(passes, kappa, loss, bar, fooled, LABELS)
                alone, ours, people = zip(
                    *pool.map(ask, range(_SEED, _SEED + n), chunksize=25), strict=True
                )
                name = f"corrected judge false: kappa {kappa:g}, {what}"
                figures += [
                    share(f"{name}; judge alone", alone),
                    share(f"{name}; corrected with {LABELS} labels", ours, at_most=_AT_MOST),
                    share(f"{name}; the labels alone", people),
                ]
            usable = list(
                pool.map(partial(is_usable, kappa, LABELS), range(_SEED, _SEED + n), chunksize=25)
            )
            figures.append(
                share(
                    f"corrected judge false: kappa {kappa:g}, {LABELS} labels show that the judge"
                    " may decide at all",
                    usable,
                )
            )
            figures += _power(kappa, n, pool)
    return figures


def _power(kappa: float, n: int, pool: ProcessPoolExecutor) -> list[Figure]:
    """Labels that it takes to show that an equal challenger is not worse, and their power."""
    rng = np.random.default_rng(_SEED)
    # Of many cases, so that spread and correlation are the judge's, not this draw's.
    large = corrected(draw(kappa, 0.0, rng, fooled=False, n=100_000), 50_000, rng)
    wanted = {}
    for called, correlation in (("corrected", large.correlation), ("people alone", 0.0)):
        planned = CorrectedMean(
            corrected=large.corrected,
            people=large.people,
            values=large.values[:CASES],
            n_labels=LABELS,
            spread=large.spread,
            correlation=correlation,
        )
        wanted[called] = labels_for_power(planned, MARGIN, level=LEVEL, power=0.8)
    name = f"corrected judge false: kappa {kappa:g}, an equal challenger is not worse by {MARGIN:g}"
    figures = [
        Figure(
            figure=f"{name}; labels for power 0.8, {called}",
            value=float(labels or 0),
            unit="labelled cases",
            n=CASES,
            note="" if labels else "labels of all cases would not do",
        )
        for called, labels in wanted.items()
    ]
    labels = wanted["corrected"]
    if labels:
        ask = partial(passes, kappa, 0.0, -MARGIN, False, labels)
        found = list(pool.map(ask, range(_SEED, _SEED + n), chunksize=25))
        passed = [ours for _, ours, _ in found]
        figures.append(share(f"{name}; passed with so many", passed))
    return figures


def _covers_mean(
    kappa: float, n_labels: int, stratified: bool, fooled: bool, seed: int
) -> tuple[bool, bool]:
    rng = np.random.default_rng(seed)
    found = corrected(draw(kappa, 0.0, rng, fooled=fooled), n_labels, rng, stratified=stratified)
    (low, high), (least, most) = found.corrected.bounds(LEVEL), found.people.bounds(LEVEL)
    return low <= 0.0 <= high, least <= 0.0 <= most


def _covers_number(n_labels: int, seed: int) -> tuple[bool, bool]:
    """A grade of answers rather than a yes or no; the judge grades with noise and half too high."""
    rng = np.random.default_rng(seed)
    people = rng.normal(0.3, 1.0, CASES)
    drawn = Drawn(people=people, judge=people + 0.5 + rng.normal(0, 0.7, CASES))
    found = corrected(drawn, n_labels, rng)
    (low, high), (least, most) = found.corrected.bounds(LEVEL), found.people.bounds(LEVEL)
    return low <= 0.3 <= high, least <= 0.3 <= most


def covers_rate(share_harmful: float, kappa: float, n_labels: int, seed: int) -> tuple[bool, bool]:
    """Rogan and Gladen's interval with half of the labels of either kind; and Wilson's as it is."""
    rng, error = np.random.default_rng(seed), error_rate(kappa)
    half = n_labels // 2
    said = share_harmful * (1 - error) + (1 - share_harmful) * error
    hits = int(rng.binomial(CASES, said))
    right = [Rate(int(rng.binomial(half, 1 - error)), half) for _ in range(2)]
    plain = Rate(hits, CASES).interval()
    try:
        _, low, high = rogan_gladen_interval(Rate(hits, CASES), *right)
    except ValueError:
        # A judge that looks no better than a coin says nothing of the share.
        low, high = 0.0, 1.0
    return low <= share_harmful <= high, plain[0] <= share_harmful <= plain[1]


def measure_coverage(full: bool) -> list[Figure]:
    """How often a corrected 95% interval holds the truth."""
    n = 10_000 if full else 1_000
    figures = []
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for labels in (50, 100, 200, 500):
            asked: dict[str, Callable[[int], tuple[bool, bool]]] = {
                "paired difference, kappa 0.5": partial(_covers_mean, 0.5, labels, False, False),
                "paired difference, kappa 0.8": partial(_covers_mean, 0.8, labels, False, False),
                "paired difference, kappa 0.5, fooled, labels by stratum": partial(
                    _covers_mean, 0.5, labels, True, True
                ),
                "mean of a grade": partial(_covers_number, labels),
                "Rogan-Gladen rate 0.2, kappa 0.5": partial(covers_rate, 0.2, 0.5, labels),
                "Rogan-Gladen rate 0.05, kappa 0.8": partial(covers_rate, 0.05, 0.8, labels),
            }
            for what, ask in asked.items():
                ours, other = zip(
                    *pool.map(ask, range(_SEED, _SEED + n), chunksize=250), strict=True
                )
                than = "the judge's share with Wilson's" if "rate" in what else "the labels alone"
                figures.append(_coverage(f"coverage: {what}, {labels} labels", ours, other, than))
    return figures


def _coverage(name: str, ours: tuple[bool, ...], other: tuple[bool, ...], than: str) -> Figure:
    n, hits = len(ours), sum(ours)
    low, high = stats.binomtest(hits, n).proportion_ci(method="exact")
    return Figure(
        figure=name,
        value=hits / n,
        unit="of intervals",
        n=n,
        target="0.94 to 0.96",
        met=_COVERED[0] <= hits / n <= _COVERED[1],
        note=f"95%: {low:.3f} to {high:.3f}; {than}: {sum(other) / n:.3f}",
    )
