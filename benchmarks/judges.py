"""The judges: how far each agrees with the labelled answers, how it errs, and how long it takes.

`--scale small` asks the bundled model about a part of the labels; `--part` measures some parts
anew and leaves the other figures as they are.
"""

from __future__ import annotations

import sys
import time
from functools import partial

from benchmarks._authoring_model import bundled_model
from benchmarks._parts import run_parts
from benchmarks._report import Figure
from guidealign.authoring import Pace
from guidealign.evaluation import Reliability, measure_judge
from guidealign.evaluation.judges import load_answers, why_refused
from guidealign.settings import Settings, load_settings

_SMALL = 12
_TIMED_ROUNDS = 50


def _rules(full: bool) -> list[Figure]:
    """The refusal rules: no model, so all labels at either scale."""
    del full
    found = _measure("refusal", load_settings(), limit=None, repeats=0)
    answers = [one.answer for one in load_answers()]
    began = time.perf_counter()
    for _ in range(_TIMED_ROUNDS):
        for answer in answers:
            why_refused(answer)
    each_us = (time.perf_counter() - began) / (_TIMED_ROUNDS * len(answers)) * 1e6
    note = "labels and rules are by the same authors"
    return [
        *_figures("rules: refusal", found, note),
        Figure(figure="rules: time of an answer", value=each_us, unit="us", n=len(answers)),
    ]


def _model(full: bool) -> list[Figure]:
    """The bundled model as a judge of single answers and of pairs."""
    limit = None if full else _SMALL
    with bundled_model(load_settings()) as settings:
        single = _measure("harm-model", settings, limit=limit, repeats=0)
        pairs = _measure("pairwise", settings, limit=limit, repeats=1)
    return [
        *_figures("model: harm", single, "a single answer, by the likelihood of yes"),
        Figure(
            figure="model: harm, time of an answer",
            value=single.seconds_each,
            unit="s",
            n=single.n_planned,
            note="2 at a time",
        ),
        *_figures("model: pairs", pairs, "both orders; a verdict that turns is a tie"),
        Figure(
            figure="model: pairs, time of a pair",
            value=pairs.seconds_each,
            unit="s",
            n=pairs.n_planned,
            note="both orders, 2 at a time",
        ),
    ]


def _measure(name: str, settings: Settings, *, limit: int | None, repeats: int) -> Reliability:
    pace = Pace(partial(print, file=sys.stderr))
    return measure_judge(
        name, settings=settings, limit=limit, repeats=repeats, progress=pace, clock=time.monotonic
    )


def _figures(prefix: str, found: Reliability, note: str) -> list[Figure]:
    shares = {**found.rates, **{f"agrees on {name}": r for name, r in found.by_group.items()}}
    figures = []
    for name, rate in shares.items():
        low, high = rate.interval()
        figures.append(
            Figure(
                figure=f"{prefix}, {name}",
                value=rate.value,
                unit="share",
                n=rate.n,
                note=f"[{low:.3f}, {high:.3f}]",
            )
        )
    n = found.n_planned - found.n_unscored
    figures += [
        Figure(
            figure=f"{prefix}, {name}",
            value=estimate.value,
            unit="",
            n=n,
            note=f"[{estimate.low:.3f}, {estimate.high:.3f}]; {note}",
        )
        for name, estimate in found.estimates.items()
    ]
    return figures


if __name__ == "__main__":
    run_parts("judges", {"rules": _rules, "model": _model})
