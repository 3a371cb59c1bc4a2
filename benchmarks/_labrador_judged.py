"""What judges say of answers, way by way, and of two ways side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks._authoring_model import bundled_model
from benchmarks._report import Figure
from guidealign.evaluation.judges import (
    AnswerPair,
    HarmModelJudge,
    PairJudge,
    PairVerdict,
    why_refused,
)
from guidealign.evaluation.statistics import Bootstrap
from guidealign.settings import Settings

GUIDED, PLAIN, LABRADOR = "guided", "plain", "labrador"
_SIDES = ((GUIDED, PLAIN), (LABRADOR, PLAIN))
_LEVEL = 0.05
_RESAMPLES = 10_000
_KINDS = {
    "harm": "risky held-out prompts",
    "do_not_answer": "Do-Not-Answer",
    "over_refusal": "benign look-alikes",
}
console = Console(stderr=True)


@dataclass(frozen=True)
class Prompt:
    """What is asked."""

    text: str
    kind: str
    """One of `harm`, `over_refusal` and `do_not_answer`."""
    cluster: str


@dataclass(frozen=True)
class _Answered:
    prompt: str
    answer: str


def judged_figures(
    prompts: Sequence[Prompt], texts: dict[str, list[str]], settings: Settings, cache: Path
) -> list[Figure]:
    """Shares that decline and that are harmless, and quality verdicts, by kind of prompt.

    Args:
        prompts: that were asked.
        texts: the answers of each way, in the order of the prompts.
        settings: of the judge.
        cache: folder for the verdicts.
    """
    refused = {
        way: [float(why_refused(answer) is not None) for answer in answers]
        for way, answers in texts.items()
    }
    verdicts = _Verdicts(cache / "labrador-verdicts.jsonl")
    with bundled_model(settings) as ready:
        harm = HarmModelJudge(ready.safety, ready.evaluation.harm_threshold)
        harmless = {
            way: _harmless(harm, prompts, answers, verdicts) for way, answers in texts.items()
        }
        pair = PairJudge(ready.safety)
        preferred = {
            (one, other): _preferred(pair, prompts, texts[one], texts[other], verdicts)
            for one, other in _SIDES
        }
    figures = []
    for kind, named in _KINDS.items():
        places = [place for place, prompt in enumerate(prompts) if prompt.kind == kind]
        if not places:
            continue
        clusters = [prompts[place].cluster for place in places]
        for what, values in (("decline", refused), ("are harmless", harmless)):
            for way in texts:
                chosen = [values[way][place] for place in places]
                figures.append(
                    Figure(
                        figure=f"alignment: {named}, {way} answers that {what}",
                        value=sum(chosen) / len(chosen),
                        unit="share",
                        n=len(chosen),
                    )
                )
            for one, other in _SIDES:
                gains = [values[one][place] - values[other][place] for place in places]
                name = f"{named}, {one} minus {other}, share that {what}"
                figures.append(difference(name, gains, clusters))
        for (one, other), scores in preferred.items():
            gains = [2 * scores[place] - 1 for place in places]
            name = f"{named}, {one} against {other}, wins minus losses of quality verdicts"
            figures.append(difference(name, gains, clusters))
    return figures


def difference(
    name: str, gains: Sequence[float], clusters: Sequence[str], unit: str = "share"
) -> Figure:
    """A mean of paired differences with its interval, whole clusters drawn."""
    drawn = Bootstrap.of(gains, clusters, resamples=_RESAMPLES, seed=13)
    low, high = drawn.bounds(_LEVEL / 2)
    return Figure(
        figure=f"alignment: {name}", value=drawn.mean, unit=unit, n=drawn.n,
        note=f"95% interval {low:+.3f} to {high:+.3f}, {drawn.n_clusters} clusters",
    )  # fmt: skip


class _Verdicts:
    """Scores by what was judged, in a file that grows a line a verdict."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        self._known = {tuple(key): score for key, score in map(json.loads, lines)}

    def fill(self, keys: Sequence[tuple[str, ...]], ask: Callable[[list[int], Any], None]) -> None:
        """Has those judged that were not, by their places."""
        places = [place for place, key in enumerate(keys) if key not in self._known]
        done = 0

        def keep(number: int, score: float) -> None:
            nonlocal done
            key = keys[places[number]]
            self._known[key] = score
            with self._file.open("a", encoding="utf-8") as out:
                out.write(json.dumps([key, score]) + "\n")
            done += 1
            if done % 20 == 0 or done == len(places):
                console.print(f"labrador: {done} of {len(places)} verdicts", highlight=False)

        ask(places, keep)

    def scores(self, keys: Sequence[tuple[str, ...]]) -> list[float]:
        return [self._known[key] for key in keys]


def _harmless(
    judge: HarmModelJudge, prompts: Sequence[Prompt], answers: list[str], verdicts: _Verdicts
) -> list[float]:
    keys = [(judge.fingerprint, p.text, a) for p, a in zip(prompts, answers, strict=True)]

    def ask(places: list[int], keep: Callable[[int, float], None]) -> None:
        cases = [_Answered(prompts[place].text, answers[place]) for place in places]
        judge.judge(cases, lambda number, score: keep(number, _score(score)))

    verdicts.fill(keys, ask)
    return [1 - score for score in verdicts.scores(keys)]


def _preferred(
    judge: PairJudge,
    prompts: Sequence[Prompt],
    ones: list[str],
    others: list[str],
    verdicts: _Verdicts,
) -> list[float]:
    keys = [
        (judge.fingerprint, p.text, one, other)
        for p, one, other in zip(prompts, ones, others, strict=True)
    ]

    def ask(places: list[int], keep: Callable[[int, float], None]) -> None:
        pairs = [AnswerPair(prompts[place].text, ones[place], others[place]) for place in places]

        def kept(number: int, verdict: PairVerdict | str) -> None:
            keep(number, verdict.score if isinstance(verdict, PairVerdict) else _score(verdict))

        judge.compare(pairs, kept)

    verdicts.fill(keys, ask)
    return verdicts.scores(keys)


def _score(found: float | str) -> float:
    if isinstance(found, str):
        raise SystemExit(f"labrador: the judge gave no verdict: {found}")
    return found
