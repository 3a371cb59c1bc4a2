"""Two prompts side by side: the same inputs, the same model, what each makes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from guidealign.authoring.calibration.answers import (
    AnswerLog,
    Outcome,
    Progress,
    Question,
    answer_key,
    ask_all,
)
from guidealign.authoring.calibration.ask import (
    ask_detection,
    ask_quality,
    ask_screen,
    ask_whole,
)
from guidealign.authoring.calibration.cases import balanced, load_cases
from guidealign.authoring.prompts import Prompt, read_prompt
from guidealign.authoring.quality import RULES_VERSION, check_guideline
from guidealign.authoring.writing import packaged_prompts
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
    sources: tuple[str, str],
    inputs: dict[str, bool | None],
    *,
    settings: Settings,
    answers: Path,
    verdicts_only: bool = False,
    progress: Progress | None = None,
) -> PromptComparison:
    """Asks the configured model about each input with both prompts.

    Args:
        sources: two of the same branch, each a packaged prompt's name (`safety`, `quality`,
            `screen`) or a file of that form.
        inputs: texts with the right verdict, None where nobody knows it.
        settings: the endpoint `safety` and the section `author`.
        answers: a JSONL file that keeps what was answered; none of it is asked again.
        verdicts_only: ask safety prompts for no guidelines, which take most of the time.
        progress: told how far it is.

    Raises:
        BadInputError: something is no prompt, or they are for different branches.
        TransientError: the model server is away; what was answered is kept.
    """
    first, second = (_Asker(read_prompt(s), settings, verdicts_only) for s in sources)
    if first.prompt.branch != second.prompt.branch:
        raise BadInputError(
            f"{sources[0]} and {sources[1]} are for different branches: a safety prompt has"
            " `=== check` and `=== ask`, a screening prompt `=== check` only, a quality prompt"
            " neither"
        )
    log = AnswerLog(answers)
    asyncio.run(_ask((first, second), list(inputs), settings, log, progress))
    sides = [
        [log.find(asker.key(text)) or Outcome() for text in inputs] for asker in (first, second)
    ]
    items = tuple(
        Compared(text=text, unsafe=unsafe, left=one, right=other)
        for (text, unsafe), one, other in zip(inputs.items(), *sides, strict=True)
    )
    return PromptComparison(
        model=settings.safety.model,
        left=_side(first.prompt, inputs, sides[0]),
        right=_side(second.prompt, inputs, sides[1]),
        inputs=items,
    )


class _Asker:
    """What one prompt is asked for, and how an answer of it is known again."""

    def __init__(self, prompt: Prompt, settings: Settings, verdicts_only: bool) -> None:
        self.prompt = prompt
        self._settings = settings
        # A detection is compared by its own verdict, which a screening would settle before.
        self._prompts = replace(packaged_prompts(settings.author), **{prompt.branch: prompt})
        if prompt.branch != "screen":
            self._prompts = replace(self._prompts, screen=None)
        self._ask = {
            "screen": ask_screen,
            "quality": ask_quality,
            "safety": ask_detection if verdicts_only else ask_whole,
        }[prompt.branch]

    def key(self, text: str) -> str:
        author, branch = self._settings.author, self.prompt.branch
        return answer_key(
            self._ask.__name__,
            self._settings.safety.model,
            *self._prompts.versions,
            str(author.verdict_threshold) if branch == "screen" else "",
            f"{author.max_guidelines}/{author.max_tokens}/{author.temperature}/{RULES_VERSION}",
            text,
        )

    async def ask(self, client: AsyncChatClient, text: str) -> Outcome:
        return await self._ask(client, text, self._settings.author, self._prompts)


async def _ask(
    askers: Sequence[_Asker],
    texts: Sequence[str],
    settings: Settings,
    log: AnswerLog,
    progress: Progress | None,
) -> None:
    async with AsyncChatClient(settings.safety, stage="compare") as client:
        # One prompt after the other: a server's prefix cache holds few of them at a time.
        for asker in askers:
            about = {"model": client.model, "prompt": asker.prompt.version}
            questions = {
                asker.key(text): Question(partial(asker.ask, client, text), about) for text in texts
            }
            await ask_all(questions, log, asker.prompt.version, progress)


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
