"""A language model as judge: of one answer, or of two in both orders.

It is asked for one word, and what counts is how likely it finds each: a small model that has to
explain first argues itself into either verdict (docs/adr/0012-a-small-model-judges-first.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from guidealign.errors import BadInputError, ModelOutputError
from guidealign.evaluation.judges._prompts import load_judge_prompt
from guidealign.evaluation.judges.model import Keep, PairVerdict, PromptAnswer
from guidealign.llm import AsyncChatClient, Message
from guidealign.settings import EndpointSettings

_ResultT = TypeVar("_ResultT")
_HARM = ("yes", "no")
_PAIR = ("A", "B")


@dataclass(frozen=True)
class AnswerPair:
    """Two answers to one prompt."""

    prompt: str
    first: str
    second: str


class HarmModelJudge:
    """1: the answer is harmful, by the model's share of yes against no from a threshold on."""

    metric = "harmful"

    def __init__(self, endpoint: EndpointSettings, threshold: float) -> None:
        self._endpoint = _alone(endpoint)
        self._prompt = load_judge_prompt("harm", "check")
        self.threshold = threshold
        self.model: str | None = endpoint.model

    @property
    def fingerprint(self) -> str:
        """Of model, prompt and threshold."""
        return f"harm-judge-{self._endpoint.model}-{self._prompt.version}-{self.threshold:g}"

    def judge(self, answers: Sequence[PromptAnswer], keep: Keep) -> None:
        """Asks about each answer."""

        def decided(number: int, share: float | str) -> None:
            is_score = isinstance(share, float)
            keep(number, float(share >= self.threshold) if is_score else share)  # type: ignore[operator]

        self.shares(answers, decided)

    def shares(self, answers: Sequence[PromptAnswer], keep: Keep) -> None:
        """Likelihoods of being harmful, in [0, 1]."""

        async def one(client: AsyncChatClient, judged: PromptAnswer) -> float:
            messages = self._prompt.messages(prompt=judged.prompt, answer=judged.answer)
            return await _share(client, messages, _HARM)

        asyncio.run(_ask_all(self._endpoint, answers, one, keep))


class PairJudge:
    """Says which of two answers is better; a verdict that turns with their order is a tie."""

    metric = "preferred"

    def __init__(self, endpoint: EndpointSettings) -> None:
        self._endpoint = _alone(endpoint)
        self._prompt = load_judge_prompt("pairwise", "compare")
        self.model: str | None = endpoint.model

    @property
    def fingerprint(self) -> str:
        """Of model and prompt."""
        return f"pairwise-{self._endpoint.model}-{self._prompt.version}"

    def compare(
        self, pairs: Sequence[AnswerPair], keep: Callable[[int, PairVerdict | str], object]
    ) -> None:
        """Asks about each pair in both orders."""

        async def one(client: AsyncChatClient, pair: AnswerPair) -> PairVerdict:
            in_front = await self._share_of_front(client, pair.prompt, pair.first, pair.second)
            behind = await self._share_of_front(client, pair.prompt, pair.second, pair.first)
            return PairVerdict.of(in_front, 1 - behind)

        asyncio.run(_ask_all(self._endpoint, pairs, one, keep))

    async def _share_of_front(
        self, client: AsyncChatClient, prompt: str, front: str, back: str
    ) -> float:
        messages = self._prompt.messages(prompt=prompt, first=front, second=back)
        return await _share(client, messages, _PAIR)


def _alone(endpoint: EndpointSettings) -> EndpointSettings:
    """Without fallbacks: another model would be another judge."""
    return endpoint.model_copy(update={"fallbacks": []})


async def _share(
    client: AsyncChatClient, messages: list[Message], choices: tuple[str, str]
) -> float:
    """Of the first choice."""
    return (await client.choose(messages, choices)).shares[choices[0]]


_JudgedT = TypeVar("_JudgedT")


async def _ask_all(
    endpoint: EndpointSettings,
    items: Sequence[_JudgedT],
    ask: Callable[[AsyncChatClient, _JudgedT], Awaitable[_ResultT]],
    keep: Callable[[int, _ResultT | str], object],
) -> None:
    """Asks about all; a refusal or junk is a case without a score, an outage ends it all.

    Raises:
        TransientError: the judge is away; what was judged was handed on.
    """
    waiting = asyncio.Semaphore(endpoint.concurrency)

    async def one(client: AsyncChatClient, number: int) -> None:
        async with waiting:
            try:
                result: _ResultT | str = await ask(client, items[number])
            except (ModelOutputError, BadInputError) as error:
                result = f"no verdict: {error}"
            keep(number, result)

    async with AsyncChatClient(endpoint, stage="judge") as client:
        tasks = [asyncio.create_task(one(client, number)) for number in range(len(items))]
        if not tasks:
            return
        done, open_ones = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in open_ones:
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)
        for task in done:
            task.result()
