"""How long the evaluation of one Labrador takes, at the settings' precision, and what a stop costs.

The untrained base is scored: a fine-tuned version has the same shape, and the same cases. Its
champion's scores are kept from the day it was a challenger itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from rich.console import Console

from benchmarks._harness.report import Figure
from guidealign.db import make_engine, migrate
from guidealign.evaluation import load_cases, score_labrador
from guidealign.registry import Registry
from guidealign.settings import load_settings

_SMALL = 12
console = Console(stderr=True)


class _StoppedError(Exception):
    """In place of a kill."""


def measure_evaluation(postgres_url: str, full: bool) -> list[Figure]:
    """The part `evaluation` of the benchmark."""
    settings = load_settings()
    if not full:
        gates = settings.gates.model_copy(update={"labrador_cases": _SMALL})
        settings = settings.model_copy(update={"gates": gates})
    n = len(load_cases(at_most=settings.gates.labrador_cases))
    migrate(postgres_url)
    engine = make_engine(postgres_url)
    # The base is on this machine: no registry is asked.
    registry = Registry("http://127.0.0.1:9")
    score = partial(score_labrador, 0, engine=engine, settings=settings, registry=registry)
    asked: list[int] = []

    def stop_at_half(done: int, of: int) -> None:
        asked.append(done)
        if done == of // 2:
            raise _StoppedError

    def until_stopped() -> None:
        try:
            score(progress=stop_at_half)
        except _StoppedError:
            return
        raise SystemExit("labrador: the scoring went on where it was stopped")

    stopped_s = _seconds(until_stopped)
    rest_s = _seconds(lambda: score(progress=lambda done, _: asked.append(done)))
    again_s = _seconds(score)
    engine.dispose()
    each = f"the model is loaded twice; {(stopped_s + rest_s) / n:.2f} s a case"
    return [
        Figure(figure="evaluation: one challenger, all cases, stopped once", n=n,
               value=stopped_s + rest_s, unit="s", note=each),
        Figure(figure="evaluation: cases scored twice for the stop", value=len(asked) - n,
               unit="cases", n=n, target="<= 8", met=len(asked) - n <= 8),
        Figure(figure="evaluation: once more, all scores kept", value=again_s, unit="s", n=n),
    ]  # fmt: skip


def _seconds(run: Callable[[], object]) -> float:
    begun = time.monotonic()
    run()
    seconds = time.monotonic() - begun
    console.print(f"labrador: {seconds:.0f} s", highlight=False)
    return seconds
