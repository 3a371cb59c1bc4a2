"""A trial asks the safety model about one input as a worker does, and stores nothing.

Measurements of a model or a prompt are made of trials.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import Any

from pydantic import BaseModel, ConfigDict

from guidealign.authoring.model import Detection, GuidelineDraft
from guidealign.authoring.writing.questions import (
    Conversation,
    Prompts,
    detect,
    screen,
    write_guidelines,
)
from guidealign.errors import BadInputError, ModelOutputError
from guidealign.llm import AsyncChatClient, recorded_calls
from guidealign.settings import AuthorSettings

_HARMLESS = Detection(
    rationale="", unsafe_content=False, may_trigger_unsafe=False, categories=[], severity=0
)


class Trial(BaseModel):
    """The answers to one input, and what they cost."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    answered: Detection | None = None
    """The model's own words."""
    detection: Detection | None = None
    """The detection that authoring would store: after the tripwire."""
    likelihood: float | None = None
    """The likelihood that the input is unsafe, where it was screened."""
    category: str | None = None
    drafts: tuple[GuidelineDraft, ...] = ()
    error: str | None = None
    """Why there is no usable answer."""
    n_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_ms: float = 0.0
    """Of all calls, one after the other."""

    def as_dict(self) -> dict[str, Any]:
        """For output, in JSON's types."""
        return self.model_dump(mode="json")


Ask = Callable[[AsyncChatClient, str, AuthorSettings, Prompts], Awaitable[Trial]]
"""A way to ask about one input. A refusal or junk is a trial too, with its reason."""


def _recorded(
    stages: Callable[[AsyncChatClient, str, AuthorSettings, Prompts], AsyncIterator[Trial]],
) -> Ask:
    """Turns a generator of ever fuller trials into a question that never fails on an answer.

    What was found before the failing stage is kept beside the error.
    """

    @wraps(stages)
    async def ask(
        client: AsyncChatClient, text: str, settings: AuthorSettings, prompts: Prompts
    ) -> Trial:
        trial = Trial()
        with recorded_calls() as calls:
            try:
                async for fuller in stages(client, text, settings, prompts):
                    trial = fuller
            except (ModelOutputError, BadInputError) as error:
                trial = trial.model_copy(update={"error": str(error)})
        return trial.model_copy(
            update={
                "n_calls": len(calls),
                "prompt_tokens": sum(call.prompt_tokens for call in calls),
                "completion_tokens": sum(call.completion_tokens for call in calls),
                "latency_ms": sum(call.latency_ms for call in calls),
            }
        )

    return ask


@_recorded
async def ask_screen(
    client: AsyncChatClient, text: str, settings: AuthorSettings, prompts: Prompts
) -> AsyncIterator[Trial]:
    """Asks for the likelihood alone, and the verdict that it comes to; nothing is explained."""
    screened = await screen(client, text, attempt=1, prompts=prompts)
    unsafe = screened is not None and screened.is_unsafe(settings)
    verdict = _HARMLESS.model_copy(update={"may_trigger_unsafe": unsafe})
    likelihood = None if screened is None else screened.likelihood
    yield Trial(answered=verdict, detection=verdict, likelihood=likelihood)


@_recorded
async def ask_detection(
    client: AsyncChatClient, text: str, settings: AuthorSettings, prompts: Prompts
) -> AsyncIterator[Trial]:
    """Asks for the verdict on an input."""
    _, trial = await _assess(client, text, settings, prompts)
    yield trial


@_recorded
async def ask_whole(
    client: AsyncChatClient, text: str, settings: AuthorSettings, prompts: Prompts
) -> AsyncIterator[Trial]:
    """Asks for the verdict and the guidelines, as a worker does at the first attempt."""
    found, trial = await _assess(client, text, settings, prompts)
    yield trial
    yield await _with_drafts(client, text, settings, found, trial)


@_recorded
async def ask_quality(
    client: AsyncChatClient, text: str, settings: AuthorSettings, prompts: Prompts
) -> AsyncIterator[Trial]:
    """Asks for guidelines of the quality branch, whatever the input is."""
    version = prompts.quality.version
    found = Conversation(_HARMLESS, [], "quality", _HARMLESS, prompts, client.model, version)
    yield await _with_drafts(client, text, settings, found, Trial())


async def _assess(
    client: AsyncChatClient, text: str, settings: AuthorSettings, prompts: Prompts
) -> tuple[Conversation, Trial]:
    screened = await screen(client, text, attempt=1, prompts=prompts)
    found = await detect(
        client, text, attempt=1, settings=settings, prompts=prompts, screened=screened
    )
    return found, Trial(
        answered=found.answered,
        detection=found.detection,
        likelihood=None if screened is None else screened.likelihood,
    )


async def _with_drafts(
    client: AsyncChatClient,
    text: str,
    settings: AuthorSettings,
    found: Conversation,
    trial: Trial,
) -> Trial:
    drafts = await write_guidelines(client, text, found, attempt=1, settings=settings)
    return trial.model_copy(update={"category": drafts.category, "drafts": drafts.guidelines})
