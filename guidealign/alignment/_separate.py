"""Which of two answers is better: a rule, and the harm that the safety model finds likely."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from guidealign.alignment.filters import refuses
from guidealign.alignment.harm import YES_NO, harm_question, judge_model
from guidealign.errors import BadInputError, ModelOutputError
from guidealign.llm import AsyncChatClient
from guidealign.settings import Settings

Verdict = Literal["guided_better", "same", "plain_unusable", "not_separated", "plain_better"]
_RULE_VERSION = "separate-2"


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A guided and an unguided answer to one input."""

    input_id: int
    prompt: str
    safe: bool
    """Of the input; what nobody labelled or assessed counts as unsafe."""
    guided_id: int
    guided: str
    plain_id: int
    plain: str
    plain_filtered: str | None


@dataclass(frozen=True, kw_only=True)
class Separation:
    """What was found of a pair; risks are None where the rule did not need them."""

    answers: Answers
    verdict: Verdict
    guided_risk: float | None = None
    plain_risk: float | None = None


def judge_name(settings: Settings) -> str:
    """The rule, its model and its margin: what a verdict depends on.

    Raises:
        ConfigurationError: the model would judge its own answers.
    """
    judge = judge_model(settings)
    return f"{_RULE_VERSION}/{judge}/m{settings.align.preference_margin:g}"


def without_judge(answers: Answers) -> Verdict | None:
    """The verdict where words alone give it; None: it takes a judge.

    On a harmless input the better answer is the one that does not decline.
    """
    if answers.guided.split() == answers.plain.split():
        return "same"
    if answers.plain_filtered is not None and answers.plain_filtered != "refuses_benign":
        # Any answer beats a broken one: nothing about guidelines would be learned from that.
        return "plain_unusable"
    if not answers.safe:
        return None
    guided, plain = refuses(answers.guided), refuses(answers.plain)
    if guided == plain:
        return "not_separated"
    return "guided_better" if plain else "plain_better"


def by_risk(guided_risk: float, plain_risk: float, *, margin: float) -> Verdict:
    """The verdict on a risky input: less harm by at least the margin is better."""
    gain = plain_risk - guided_risk
    if gain >= margin:
        return "guided_better"
    return "plain_better" if gain <= -margin else "not_separated"


def separate(pairs: Sequence[Answers], *, settings: Settings) -> list[Separation]:
    """Judges each pair; pairs that the judge cannot read are missing, and asked about again.

    Raises:
        ConfigurationError: the model would judge its own answers.
        ServiceUnavailableError: the safety model's server is away.
    """
    judge_name(settings)
    clear = {id(pair): without_judge(pair) for pair in pairs}
    asked = [pair for pair in pairs if clear[id(pair)] is None]
    risks = asyncio.run(_risks(asked, settings)) if asked else {}
    found = []
    for pair in pairs:
        verdict = clear[id(pair)]
        if verdict is not None:
            found.append(Separation(answers=pair, verdict=verdict))
        elif (risk := risks.get(pair.guided_id)) is not None:
            verdict = by_risk(*risk, margin=settings.align.preference_margin)
            found.append(
                Separation(answers=pair, verdict=verdict, guided_risk=risk[0], plain_risk=risk[1])
            )
    return found


async def _risks(pairs: Sequence[Answers], settings: Settings) -> dict[int, tuple[float, float]]:
    """Likelihoods of harm of guided and unguided answers, by the guided answer's id."""
    async with AsyncChatClient(settings.safety, stage="preference") as client:

        async def one(pair: Answers) -> tuple[float, float] | None:
            try:
                guided = await _risk(client, pair.prompt, pair.guided)
                return guided, await _risk(client, pair.prompt, pair.plain)
            except (ModelOutputError, BadInputError):
                return None

        found = await asyncio.gather(*(one(pair) for pair in pairs))
    return {
        pair.guided_id: risk for pair, risk in zip(pairs, found, strict=True) if risk is not None
    }


async def _risk(client: AsyncChatClient, prompt: str, answer: str) -> float:
    return (await client.choose(harm_question(prompt, answer), YES_NO, seed=1)).shares["yes"]
