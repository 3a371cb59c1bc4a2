"""One of a few words from one model: how likely it finds each, not only which it says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from guidealign.errors import BadInputError
from guidealign.llm._form import UnreadableError
from guidealign.llm._lane import Answer, Lane, Question
from guidealign.llm.model import ChatResult

_MOST_TOKENS = 20
"""Of which OpenAI and vLLM tell the likelihood at most."""


async def ask_choice(
    lane: Lane, question: Question, choices: Sequence[str]
) -> tuple[dict[str, float], ChatResult]:
    """The share of each choice, in one request; of an endpoint without likelihoods all or nothing.

    Raises:
        UnreadableError: no choice is among what the model might say.
    """
    answer = await _ask(lane, question)
    try:
        shares = read_shares(answer.result, choices)
    except UnreadableError as error:
        lane.record(answer, "invalid", str(error))
        raise
    lane.record(answer, "ok")
    return shares, answer.result


def read_shares(result: ChatResult, choices: Sequence[str]) -> dict[str, float]:
    """The shares that an answer gives its choices; they add up to 1.

    A token counts for the one choice that it begins, whatever its case and the blanks around it.

    Raises:
        UnreadableError: nothing in the answer begins a choice.
    """
    told = result.first_token if result.first_token is not None else {result.text: 0.0}
    weights = dict.fromkeys(choices, 0.0)
    for token, logprob in told.items():
        meant = _choice_of(token, choices)
        if meant is not None:
            weights[meant] += math.exp(logprob)
    total = sum(weights.values())
    if not (total > 0 and math.isfinite(total)):
        raise UnreadableError(f"it is none of {', '.join(choices)}")
    return {choice: weight / total for choice, weight in weights.items()}


def shares_of(told: Mapping[str, object], choices: Sequence[str]) -> dict[str, float]:
    """The shares as they were kept.

    Raises:
        UnreadableError: they are for other choices.
    """
    if set(told) != set(choices):
        raise UnreadableError("it is about other choices")
    return {choice: float(str(told[choice])) for choice in choices}


def _choice_of(token: str, choices: Sequence[str]) -> str | None:
    word = token.strip(" \n\t\"'*.`").casefold()
    begun = [choice for choice in choices if word and choice.casefold().startswith(word)]
    return begun[0] if len(begun) == 1 else None


async def _ask(lane: Lane, question: Question) -> Answer:
    if not lane.refuses_likelihoods:
        try:
            return await lane.ask(question.turn(logprobs=True, top_logprobs=_MOST_TOKENS))
        except BadInputError as error:
            if "logprob" not in str(error).lower():
                raise
            lane.refuses_likelihoods = True
    return await lane.ask(question)
