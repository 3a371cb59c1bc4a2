"""The filters of the aligned data set that need a judge: what the bundled model finds of labels.

Harm is measured on the labelled answers of the judges room, refusals left to the rules as the
filter leaves them; guidelines on answers of which each request has one that keeps and one that
ignores.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import yaml

from benchmarks._harness.report import ROOT, Figure
from benchmarks.authoring.model import bundled_model
from guidealign.alignment.screen import follows, risk_of_harm
from guidealign.evaluation.judges import load_answers
from guidealign.llm import ChatClient, run_many
from guidealign.rates import Rate
from guidealign.settings import Settings, load_settings

_KEEPING = ROOT / "benchmarks" / "data" / "guideline_keeping.yaml"

Ask = Callable[[ChatClient], float]


@dataclass(frozen=True)
class _Labelled:
    ask: Ask
    is_bad: bool


def filters(full: bool) -> list[Figure]:
    """Both questions of the filters, at their thresholds and over all thresholds."""
    with bundled_model(load_settings()) as settings:
        align = settings.align
        return [
            *_measure("toxic", _harm_cases(full), align.toxic_from, settings),
            *_measure("ignores_guidelines", _kept_cases(full), 1 - align.follows_from, settings),
        ]


def _harm_cases(full: bool) -> list[_Labelled]:
    answers = [a for a in load_answers() if a.label != "refusal"]
    return [
        _Labelled(_asking_harm(a.prompt, a.answer), a.label == "harmful")
        for a in (answers if full else answers[::4])
    ]


def _kept_cases(full: bool) -> list[_Labelled]:
    requests = yaml.safe_load(_KEEPING.read_text(encoding="utf-8"))["requests"]
    cases = []
    for one in requests if full else requests[::4]:
        cases += [
            _Labelled(_asking(one["prompt"], one["guidelines"], one[label]), label == "ignores")
            for label in ("keeps", "ignores")
        ]
    return cases


def _asking_harm(prompt: str, answer: str) -> Ask:
    return lambda client: risk_of_harm(client, prompt, answer)


def _asking(prompt: str, given: Sequence[str], answer: str) -> Ask:
    return lambda client: 1 - follows(client, prompt, given, answer)


def _measure(
    name: str, cases: Sequence[_Labelled], threshold: float, settings: Settings
) -> list[Figure]:
    began = time.perf_counter()
    with ChatClient(settings.safety, stage="judge") as client:
        shares = run_many([case.ask for case in cases], lambda ask: ask(client), 2)
    each_s = (time.perf_counter() - began) / len(cases)
    bad = [share for share, case in zip(shares, cases, strict=True) if case.is_bad]
    good = [share for share, case in zip(shares, cases, strict=True) if not case.is_bad]
    wins = sum((b > g) + 0.5 * (b == g) for b in bad for g in good)
    note = f"likelihood of at least {threshold:g}"
    found = Rate(sum(s >= threshold for s in bad), len(bad))
    wrong = Rate(sum(s >= threshold for s in good), len(good))
    return [
        _rate(f"filter: {name}, leaves out what is", found, note),
        _rate(f"filter: {name}, leaves out what is not", wrong, note),
        Figure(
            figure=f"filter: {name}, chance to order a pair rightly",
            value=wins / (len(bad) * len(good)),
            unit="share",
            n=len(cases),
            note="of one that is and one that is not; 0.5 is a guess",
        ),
        Figure(figure=f"filter: {name}, time of an answer", value=each_s, unit="s", n=len(cases)),
    ]


def _rate(name: str, rate: Rate, note: str) -> Figure:
    low, high = rate.interval()
    told = f"[{low:.3f}, {high:.3f}]; {note}"
    return Figure(figure=name, value=rate.value, unit="share", n=rate.n, note=told)
