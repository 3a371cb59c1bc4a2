"""Asks the safety model: first what is wrong with an input, then how to treat its like."""

from __future__ import annotations

from dataclasses import dataclass

from guidealign.authoring._orders import override_detection
from guidealign.authoring._prompts import QUALITY_PROMPT, SAFETY_PROMPT, load_prompt, new_nonce
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
class Conversation:
    """A detection and the turns that led to it."""

    detection: Detection
    messages: list[Message]
    nonce: str


async def detect(
    client: AsyncChatClient, text: str, *, attempt: int, settings: AuthorSettings
) -> Conversation:
    """The method's detection: explanation first, then two verdicts.

    Raises:
        ModelOutputError: the answer does not fit, also after the repair turn.
        TransientError: the model server does not answer.
    """
    prompt, nonce = load_prompt(SAFETY_PROMPT), new_nonce()
    messages = [*prompt.prefix(settings.max_guidelines), prompt.input_turn(text, nonce)]
    answer = await client.complete_typed(
        messages,
        Detection,
        temperature=0.0 if attempt == 1 else _RETRY_TEMPERATURE,
        max_tokens=_DETECTION_TOKENS,
        seed=attempt,
        scope=CacheScope(prompt_version=prompt.version, nonce=nonce),
    )
    found = override_detection(answer.value, text)
    turn = {"role": "assistant", "content": found.model_dump_json()}
    return Conversation(found, [*messages, turn], nonce)


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
        prompt, schema = load_prompt(SAFETY_PROMPT), limited(SafetyGuidelines, limit)
        messages = [*found.messages, prompt.ask_turn(limit)]
    else:
        prompt, schema = load_prompt(QUALITY_PROMPT), limited(QualityGuidelines, limit)
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
    return Drafts(category, prompt.version, tuple(value.guidelines))
