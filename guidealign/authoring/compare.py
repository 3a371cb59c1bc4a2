"""Two prompts side by side: the same inputs, the same model, what each makes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from guidealign.authoring._prompts import Prompt, read_prompt
from guidealign.authoring.calibration.answers import (
    AnswerLog,
    Outcome,
    Progress,
    answer_key,
    ask_all,
)
from guidealign.authoring.calibration.ask import ask_quality, ask_whole
from guidealign.authoring.calibration.cases import balanced, load_cases
from guidealign.authoring.filter import check_guideline
from guidealign.authoring.write import PromptPair, packaged_prompts
from guidealign.errors import BadInputError
from guidealign.llm import AsyncChatClient
from guidealign.rates import Rate
from guidealign.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One input with what both prompts made of it."""

    text: str
    unsafe: bool | None
    """The right verdict; None: the input is not a labelled one."""
    left: Outcome
    right: Outcome

    @property
    def differs(self) -> bool:
        """Whether verdicts, categories or guidelines are not the same."""
        return _summary(self.left) != _summary(self.right)


@dataclass(frozen=True, kw_only=True)
class Side:
    """One prompt's figures over all inputs."""

    version: str
    verdicts_right: Rate
    """Over labelled inputs with a usable answer."""
    n_unanswered: int
    guidelines_pass: Rate
    """Of the guidelines it wrote, those past the quality filter."""
    prompt_tokens: int
    completion_tokens: int
    latency_ms: float


@dataclass(frozen=True, kw_only=True)
class PromptComparison:
    """What two prompts make of the same inputs."""

    model: str
    left: Side
    right: Side
    inputs: tuple[Compared, ...]

    def as_dict(self) -> dict[str, Any]:
        """For output."""
        return {
            "model": self.model,
            "left": _side_dict(self.left),
            "right": _side_dict(self.right),
            "inputs": [
                {
                    "text": item.text,
                    "unsafe": item.unsafe,
                    "differs": item.differs,
                    "left": item.left.model_dump(mode="json"),
                    "right": item.right.model_dump(mode="json"),
                }
                for item in self.inputs
            ],
        }


def labelled_inputs(limit: int) -> dict[str, bool | None]:
    """A balanced part of the calibration set, with the right verdicts."""
    return {case.text: case.unsafe for case in balanced(load_cases(), limit)}


def compare_prompts(
    left: str,
    right: str,
    inputs: dict[str, bool | None],
    *,
    settings: Settings,
    answers: Path,
    progress: Progress | None = None,
) -> PromptComparison:
    """Asks the configured model about each input with both prompts.

    Args:
        left: a packaged prompt's name (`safety`, `quality`) or a file of that form.
        right: the same, and for the same branch.
        inputs: texts with the right verdict, None where nobody knows it.
        settings: the endpoint `safety` and the section `author`.
        answers: a JSONL file that keeps what was answered; none of it is asked again.
        progress: told how far it is.

    Raises:
        BadInputError: something is no prompt, or they are for different branches.
        TransientError: the model server is away; what was answered is kept.
    """
    prompts = (read_prompt(left), read_prompt(right))
    if _detects(prompts[0]) != _detects(prompts[1]):
        raise BadInputError(
            f"{left} and {right} are for different branches: a safety prompt has `=== ask`,"
            " a quality prompt has not"
        )
    log = AnswerLog(answers)
    asyncio.run(_ask(prompts, list(inputs), settings, log, progress))
    sides = [
        [log.find(_key(prompt, text, settings)) or Outcome() for text in inputs]
        for prompt in prompts
    ]
    items = tuple(
        Compared(text=text, unsafe=unsafe, left=one, right=other)
        for (text, unsafe), one, other in zip(inputs.items(), *sides, strict=True)
    )
    return PromptComparison(
        model=settings.safety.model,
        left=_side(prompts[0], inputs, sides[0]),
        right=_side(prompts[1], inputs, sides[1]),
        inputs=items,
    )


def _detects(prompt: Prompt) -> bool:
    return "ask" in prompt.templates


def _key(prompt: Prompt, text: str, settings: Settings) -> str:
    author = settings.author
    options = f"{author.max_guidelines}/{author.max_tokens}/{author.temperature}"
    other = packaged_prompts().quality.version if _detects(prompt) else ""
    return answer_key(
        "compare", settings.safety.model, prompt.version, prompt.content, other, options, text
    )


async def _ask(
    prompts: Sequence[Prompt],
    texts: Sequence[str],
    settings: Settings,
    log: AnswerLog,
    progress: Progress | None,
) -> None:
    packaged = packaged_prompts()
    async with AsyncChatClient(settings.safety, stage="compare") as client:
        # One prompt after the other: a server's prefix cache holds one of them at a time.
        for prompt in prompts:
            if _detects(prompt):
                ask, pair = ask_whole, PromptPair(prompt, packaged.quality)
            else:
                ask, pair = ask_quality, PromptPair(packaged.safety, prompt)
            questions = {
                _key(prompt, text, settings): partial(ask, client, text, settings.author, pair)
                for text in texts
            }
            about = {
                key: {"model": client.model, "prompt": prompt.version} for key in questions
            }
            await ask_all(questions, about, log, prompt.version, progress)


def _summary(outcome: Outcome) -> tuple[object, ...]:
    found = outcome.detection
    verdict = (found.unsafe, frozenset(found.risk_categories())) if found else None
    return verdict, outcome.category, outcome.drafts, outcome.error is None


def _side(prompt: Prompt, inputs: dict[str, bool | None], outcomes: Sequence[Outcome]) -> Side:
    judged = [
        outcome.detection.unsafe == unsafe
        for unsafe, outcome in zip(inputs.values(), outcomes, strict=True)
        if unsafe is not None and outcome.detection is not None
    ]
    passed = [
        check_guideline(draft.title, draft.text, text).ok
        for text, outcome in zip(inputs, outcomes, strict=True)
        for draft in outcome.drafts
    ]
    return Side(
        version=prompt.version,
        verdicts_right=Rate(sum(judged), len(judged)),
        n_unanswered=sum(outcome.error is not None for outcome in outcomes),
        guidelines_pass=Rate(sum(passed), len(passed)),
        prompt_tokens=sum(outcome.prompt_tokens for outcome in outcomes),
        completion_tokens=sum(outcome.completion_tokens for outcome in outcomes),
        latency_ms=sum(outcome.latency_ms for outcome in outcomes),
    )


def _side_dict(side: Side) -> dict[str, Any]:
    return {
        **vars(side),
        "verdicts_right": side.verdicts_right.as_dict(),
        "guidelines_pass": side.guidelines_pass.as_dict(),
    }
