"""Asks the safety model: first what is wrong with an input, then how to treat its like."""

from __future__ import annotations

from dataclasses import dataclass

from guidealign.authoring._orders import override_detection
from guidealign.authoring._prompts import (
    QUALITY_PROMPT,
    SAFETY_PROMPT,
    Prompt,
    load_prompt,
    new_nonce,
)
from guidealign.authoring.model import (
    Detection,
    Drafts,
    QualityGuidelines,
    SafetyGuidelines,
    limited,
)
from guidealign.llm import AsyncChatClient, CacheScope, Message
from guidealign.settings import AuthorSettings

_DETECTION_TOKENS = 200
_RETRY_TEMPERATURE = 0.3
"""A second try of a greedy question must differ, or it fails the same way."""


@dataclass(frozen=True)
class PromptPair:
    """The prompts of both branches."""

    safety: Prompt
    quality: Prompt


@dataclass(frozen=True)
class Conversation:
    """A detection and the turns that led to it."""

    detection: Detection
    messages: list[Message]
    nonce: str
    answered: Detection
    """What the model said, before the tripwire."""
    prompts: PromptPair
    model: str
    """Who answered: the endpoint's model or one of its fallbacks."""


def packaged_prompts() -> PromptPair:
    """The prompts that authoring uses."""
    return PromptPair(load_prompt(SAFETY_PROMPT), load_prompt(QUALITY_PROMPT))


async def detect(
    client: AsyncChatClient,
    text: str,
    *,
    attempt: int,
    settings: AuthorSettings,
    prompts: PromptPair | None = None,
) -> Conversation:
    """The method's detection: explanation first, then two verdicts.

    Args:
        client: of the safety model.
        text: the input.
        attempt: counts from 1; a later one is asked differently.
        settings: how many guidelines are asked for.
        prompts: for measurements; None: the packaged ones. The tripwire works only with
            those that defend their inputs.

    Raises:
        ModelOutputError: the answer does not fit, also after the repair turn.
        TransientError: the model server does not answer.
    """
    prompts = prompts or packaged_prompts()
    prompt, nonce = prompts.safety, new_nonce()
    messages = [*prompt.prefix(settings.max_guidelines), prompt.input_turn(text, nonce)]
    answer = await client.complete_typed(
        messages,
        Detection,
        temperature=0.0 if attempt == 1 else _RETRY_TEMPERATURE,
        max_tokens=_DETECTION_TOKENS,
        seed=attempt,
        scope=CacheScope(prompt_version=prompt.version, nonce=nonce),
    )
    found = override_detection(answer.value, text) if prompt.defended else answer.value
    turn = {"role": "assistant", "content": found.model_dump_json()}
    return Conversation(found, [*messages, turn], nonce, answer.value, prompts, answer.model)


async def write_guidelines(
    client: AsyncChatClient,
    text: str,
    found: Conversation,
    *,
    attempt: int,
    settings: AuthorSettings,
) -> Drafts:
    """Guidelines for inputs like this one: safety goes on from the detection, quality apart.

    Raises:
        ModelOutputError: the answer does not fit, also after the repair turn.
        TransientError: the model server does not answer.
    """
    limit = settings.max_guidelines
    if found.detection.unsafe:
        prompt, schema = found.prompts.safety, limited(SafetyGuidelines, limit)
        messages = [*found.messages, prompt.ask_turn(limit)]
    else:
        prompt, schema = found.prompts.quality, limited(QualityGuidelines, limit)
        messages = [*prompt.prefix(limit), prompt.input_turn(text, found.nonce)]
    answer = await client.complete_typed(
        messages,
        schema,
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        seed=attempt,
        scope=CacheScope(prompt_version=prompt.version, nonce=found.nonce),
    )
    value = answer.value
    category = (
        value.topic
        if isinstance(value, QualityGuidelines)
        else found.detection.risk_categories()[0]
    )
    return Drafts(category, prompt.version, answer.model, tuple(value.guidelines))
