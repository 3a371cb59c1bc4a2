"""One input through authoring's own questions, whatever comes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from guidealign.authoring.calibration.answers import Outcome, Question
from guidealign.authoring.model import Detection
from guidealign.authoring.writing import (
    Conversation,
    Prompts,
    Screened,
    detect,
    screen,
    write_guidelines,
)
from guidealign.errors import BadInputError, ModelOutputError
from guidealign.llm import AsyncChatClient, CallRecord, recorded_calls
from guidealign.settings import AuthorSettings

_HARMLESS = Detection(
    rationale="", unsafe_content=False, may_trigger_unsafe=False, categories=[], severity=0
)


class Labelled(Protocol):
    """A case of any set."""

    @property
    def id(self) -> str:
        """Its name in the set."""

    @property
    def text(self) -> str:
        """The input."""


Ask = Callable[[AsyncChatClient, str, AuthorSettings, Prompts], Awaitable[Outcome]]


def question(
    case: Labelled, ask: Ask, client: AsyncChatClient, settings: AuthorSettings, prompts: Prompts
) -> Question:
    """A case to be asked about in one of the ways below."""
    about = {"case": case.id, "model": client.model, "prompt": " and ".join(prompts.versions)}
    return Question(partial(ask, client, case.text, settings, prompts), about)


async def ask_detection(
    client: AsyncChatClient, text: str, settings: AuthorSettings, prompts: Prompts
) -> Outcome:
    """The verdict on an input. A refusal or junk is an outcome too, with its reason."""
    with recorded_calls() as calls:
        try:
            _, outcome = await _assess(client, text, settings, prompts)
        except (ModelOutputError, BadInputError) as error:
            outcome = Outcome(error=str(error))
    return _spent(outcome, calls)


async def ask_screen(
    client: AsyncChatClient, text: str, settings: AuthorSettings, prompts: Prompts
) -> Outcome:
    """The likelihood alone, and the verdict that it comes to; nothing is explained."""
    with recorded_calls() as calls:
        try:
            found = await screen(client, text, attempt=1, prompts=prompts)
        except (ModelOutputError, BadInputError) as error:
            return _spent(Outcome(error=str(error)), calls)
    unsafe = found is not None and found.is_unsafe(settings)
    verdict = _HARMLESS.model_copy(update={"may_trigger_unsafe": unsafe})
    outcome = Outcome(answered=verdict, detection=verdict, likelihood=_likelihood(found))
    return _spent(outcome, calls)


async def ask_whole(
    client: AsyncChatClient, text: str, settings: AuthorSettings, prompts: Prompts
) -> Outcome:
    """The verdict and the guidelines, as a worker asks for them at the first attempt."""
    with recorded_calls() as calls:
        outcome = Outcome()
        try:
            found, outcome = await _assess(client, text, settings, prompts)
            outcome = await _with_drafts(client, text, settings, found, outcome)
        except (ModelOutputError, BadInputError) as error:
            outcome = outcome.model_copy(update={"error": str(error)})
    return _spent(outcome, calls)


async def ask_quality(
    client: AsyncChatClient, text: str, settings: AuthorSettings, prompts: Prompts
) -> Outcome:
    """Guidelines of the quality branch, whatever the input is."""
    version = prompts.quality.version
    found = Conversation(_HARMLESS, [], "quality", _HARMLESS, prompts, client.model, version)
    with recorded_calls() as calls:
        outcome = Outcome()
        try:
            outcome = await _with_drafts(client, text, settings, found, outcome)
        except (ModelOutputError, BadInputError) as error:
            outcome = Outcome(error=str(error))
    return _spent(outcome, calls)


async def _assess(
    client: AsyncChatClient, text: str, settings: AuthorSettings, prompts: Prompts
) -> tuple[Conversation, Outcome]:
    screened = await screen(client, text, attempt=1, prompts=prompts)
    found = await detect(
        client, text, attempt=1, settings=settings, prompts=prompts, screened=screened
    )
    return found, Outcome(
        answered=found.answered,
        detection=found.detection,
        likelihood=_likelihood(screened),
    )


def _likelihood(screened: Screened | None) -> float | None:
    return None if screened is None else screened.likelihood


async def _with_drafts(
    client: AsyncChatClient,
    text: str,
    settings: AuthorSettings,
    found: Conversation,
    outcome: Outcome,
) -> Outcome:
    drafts = await write_guidelines(client, text, found, attempt=1, settings=settings)
    return outcome.model_copy(update={"category": drafts.category, "drafts": drafts.guidelines})


def _spent(outcome: Outcome, calls: list[CallRecord]) -> Outcome:
    return outcome.model_copy(
        update={
            "n_calls": len(calls),
            "prompt_tokens": sum(call.prompt_tokens for call in calls),
            "completion_tokens": sum(call.completion_tokens for call in calls),
            "latency_ms": sum(call.latency_ms for call in calls),
        }
    )
