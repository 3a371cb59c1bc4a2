"""What judges say of answers, way by way, and of two ways side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks._authoring_model import bundled_model
from benchmarks._kept_lines import KeptLines
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

GUIDED, FEWER, PLAIN, LABRADOR = "guided", "guided by two", "plain", "labrador"
_COMPARED_SIDES = ((GUIDED, PLAIN), (LABRADOR, PLAIN))
_COMPARED_EVERY = 2
"""Of the prompts, every second: a pair costs two calls that are longer than an answer's one."""
_LEVEL = 0.05
_RESAMPLES = 10_000
KINDS = {
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
class Sides:
    """Ways of answering that a part of the benchmark sets side by side."""

    part: str
    ways: dict[str, str]
    """What figures call the answers of each way."""
    pairs: dict[tuple[str, str], str]
    """What they call the difference of two."""

    def figures(
        self,
        named: str,
        what: str,
        prompts: Sequence[Prompt],
        places: Sequence[int],
        values: dict[str, list[float]],
    ) -> list[Figure]:
        """The share of each way's answers, and the paired differences; none without prompts.

        Args:
            named: what figures call the prompts.
            what: is counted.
            prompts: that were asked.
            places: of those that are compared.
            values: of each way's answer to each prompt, 1 where it counts.
        """
        if not places:
            return []
        figures = [
            Figure(
                figure=f"{self.part}: {named}, {called} that {what}",
                value=sum(values[way][place] for place in places) / len(places),
                unit="share",
                n=len(places),
            )
            for way, called in self.ways.items()
        ]
        clusters = [prompts[place].cluster for place in places]
        for (one, other), called in self.pairs.items():
            gains = [values[one][place] - values[other][place] for place in places]
            name = f"{named}, {called}, share that {what}"
            figures.append(difference(self.part, name, gains, clusters))
        return figures


_ALIGNMENT = Sides(
    "alignment",
    {way: f"{way} answers" for way in (GUIDED, FEWER, PLAIN, LABRADOR)},
    {
        (one, other): f"{one} minus {other}"
        for one, other in ((GUIDED, PLAIN), (FEWER, PLAIN), (FEWER, GUIDED), (LABRADOR, PLAIN))
    },
)


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
    refused = declining(texts)
    verdicts = KeptLines(cache / "labrador-verdicts.jsonl")
    with bundled_model(settings) as ready:
        harm = HarmModelJudge(ready.safety, ready.evaluation.harm_threshold)
        harmless = {
            way: harmless_shares(harm, prompts, answers, verdicts) for way, answers in texts.items()
        }
        pair = PairJudge(ready.safety)
        preferred = {
            (one, other): _preferred(pair, prompts, texts[one], texts[other], verdicts)
            for one, other in _COMPARED_SIDES
        }
    figures = []
    for kind, named in KINDS.items():
        places = [place for place, prompt in enumerate(prompts) if prompt.kind == kind]
        if not places:
            continue
        for what, values in (("decline", refused), ("are harmless", harmless)):
            figures += _ALIGNMENT.figures(named, what, prompts, places, values)
        for (one, other), scores in preferred.items():
            gains = [2 * scores[place] - 1 for place in places if place in scores]
            compared = [prompts[place].cluster for place in places if place in scores]
            name = f"{named}, {one} against {other}, wins minus losses of quality verdicts"
            figures.append(difference("alignment", name, gains, compared))
    return figures


def declining(texts: dict[str, list[str]]) -> dict[str, list[float]]:
    """By way, 1 for each answer that declines by the rules."""
    return {
        way: [float(why_refused(answer) is not None) for answer in answers]
        for way, answers in texts.items()
    }


def difference(
    part: str, name: str, gains: Sequence[float], clusters: Sequence[str], unit: str = "share"
) -> Figure:
    """A mean of paired differences with its interval, whole clusters drawn."""
    drawn = Bootstrap.of(gains, clusters, resamples=_RESAMPLES, seed=13)
    low, high = drawn.bounds(_LEVEL / 2)
    return Figure(
        figure=f"{part}: {name}", value=drawn.mean, unit=unit, n=drawn.n,
        note=f"95% interval {low:+.3f} to {high:+.3f}, {drawn.n_clusters} clusters",
    )  # fmt: skip


def _fill(
    kept: KeptLines, keys: Sequence[tuple[str, ...]], ask: Callable[[list[int], Any], None]
) -> list[float]:
    """The scores of all keys; those that were not judged before are, by their places."""
    places = [place for place, key in enumerate(keys) if key not in kept]
    done = 0

    def keep(number: int, score: float) -> None:
        nonlocal done
        kept[keys[places[number]]] = score
        done += 1
        if done % 20 == 0 or done == len(places):
            console.print(f"labrador: {done} of {len(places)} verdicts", highlight=False)

    ask(places, keep)
    return [float(kept[key]) for key in keys]


def harmless_shares(
    judge: HarmModelJudge, prompts: Sequence[Prompt], answers: Sequence[str], verdicts: KeptLines
) -> list[float]:
    """What the judge says of each answer: 1 harmless, 0 harmful."""
    keys = [(judge.fingerprint, p.text, a) for p, a in zip(prompts, answers, strict=True)]

    def ask(places: list[int], keep: Callable[[int, float], None]) -> None:
        cases = [_Answered(prompts[place].text, answers[place]) for place in places]
        judge.judge(cases, lambda number, score: keep(number, _score(score)))

    return [1 - score for score in _fill(verdicts, keys, ask)]


def _preferred(
    judge: PairJudge,
    prompts: Sequence[Prompt],
    ones: list[str],
    others: list[str],
    verdicts: KeptLines,
) -> dict[int, float]:
    """Scores of the prompts that are compared, by their places."""
    compared = range(0, len(prompts), _COMPARED_EVERY)
    pairs = [AnswerPair(prompts[place].text, ones[place], others[place]) for place in compared]
    keys = [(judge.fingerprint, pair.prompt, pair.first, pair.second) for pair in pairs]

    def ask(places: list[int], keep: Callable[[int, float], None]) -> None:
        def kept(number: int, verdict: PairVerdict | str) -> None:
            keep(number, verdict.score if isinstance(verdict, PairVerdict) else _score(verdict))

        judge.compare([pairs[place] for place in places], kept)

    return dict(zip(compared, _fill(verdicts, keys, ask), strict=True))


def _score(found: float | str) -> float:
    if isinstance(found, str):
        raise SystemExit(f"labrador: the judge gave no verdict: {found}")
    return found
