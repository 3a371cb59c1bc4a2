"""Asks the safety model first what is wrong with an input, then how to treat similar inputs."""

from __future__ import annotations

from dataclasses import dataclass

from guidealign.authoring.model import (
    Detection,
    Drafts,
    QualityGuidelines,
    SafetyGuidelines,
    UnsafeDetection,
    limited,
)
from guidealign.authoring.prompts import (
    QUALITY_PROMPT,
    SAFETY_PROMPT,
    SCREEN_PROMPT,
    Prompt,
    load_prompt,
    new_nonce,
)
from guidealign.authoring.quality import override_detection
from guidealign.llm import AsyncChatClient, CacheScope, Message
from guidealign.settings import AuthorSettings

_DETECTION_TOKENS = 200
_VERDICTS = ("yes", "no")
_RETRY_TEMPERATURE = 0.3
"""A second try of a greedy question must differ, or it fails the same way."""


@dataclass(frozen=True)
class Prompts:
    """The prompts of both branches, and the one that decides between them."""

    safety: Prompt
    quality: Prompt
    screen: Prompt | None = None
    """None: the verdict is the detection's own, after its explanation."""

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions of the prompts, on which the answers depend."""
        return tuple(one.version for one in (self.screen, self.safety, self.quality) if one)

    def undefended(self) -> Prompts:
        """Returns the prompts without defences, for measuring what these are worth."""
        screen = self.screen.undefended() if self.screen else None
        return Prompts(self.safety.undefended(), self.quality.undefended(), screen)


@dataclass(frozen=True)
class Conversation:
    """A detection and the turns that led to it."""

    detection: Detection
    messages: list[Message]
    nonce: str
    answered: Detection
    """What the model said, before the tripwire."""
    prompts: Prompts
    model: str
    """Who answered: the endpoint's model or one of its fallbacks."""
    prompt_version: str
    """Of the prompt that the verdict's explanation comes from."""


@dataclass(frozen=True)
class Screened:
    """The likelihood that an input is unsafe, which the model gives before it explains anything."""

    likelihood: float
    """That the input is unsafe, as the model's share of yes against no."""
    model: str
    prompt_version: str

    def is_unsafe(self, settings: AuthorSettings) -> bool:
        """Whether the likelihood reaches the threshold."""
        return self.likelihood >= settings.verdict_threshold


def packaged_prompts(settings: AuthorSettings) -> Prompts:
    """Returns authoring's prompts, with a screening prompt where the settings want one."""
    screen = load_prompt(SCREEN_PROMPT) if settings.verdict == "likelihood" else None
    return Prompts(load_prompt(SAFETY_PROMPT), load_prompt(QUALITY_PROMPT), screen)


async def screen(
    client: AsyncChatClient, text: str, *, attempt: int, prompts: Prompts
) -> Screened | None:
    """Asks how likely an input is unsafe; None: the prompts have no screening.

    It is asked for one word.

    A small model that has to explain first argues itself into either verdict; what it finds
    likely before tells unsafe inputs from their look-alikes better.

    Raises:
        ModelOutputError: it has neither yes nor no in mind.
        TransientError: the model server does not answer.
    """
    prompt, nonce = prompts.screen, new_nonce()
    if prompt is None:
        return None
    answer = await client.choose(
        [*prompt.prefix(), prompt.input_turn(text, nonce)],
        _VERDICTS,
        seed=attempt,
        scope=CacheScope(prompt_version=prompt.version, nonce=nonce),
    )
    return Screened(answer.shares[_VERDICTS[0]], answer.model, prompt.version)


async def detect(
    client: AsyncChatClient,
    text: str,
    *,
    attempt: int,
    settings: AuthorSettings,
    prompts: Prompts,
    screened: Screened | None,
) -> Conversation:
    """Asks for the method's detection: an explanation first, then two verdicts.

    Args:
        client: of the safety model.
        text: the input.
        attempt: counts from 1; a later one is asked differently.
        settings: how many guidelines are asked for, and from which likelihood on an input is
            unsafe.
        prompts: the packaged ones, or others for measurements. The tripwire works only with
            those that defend their inputs.
        screened: settles the verdict: an input below the threshold is not asked about again, one
            above is explained as the unsafe one that it is. None: the model's own verdict counts.

    Raises:
        ModelOutputError: the answer does not fit, also after the repair turn.
        TransientError: the model server does not answer.
    """
    prompt, nonce = prompts.safety, new_nonce()
    flagged = screened is not None and screened.is_unsafe(settings)
    messages = [
        *prompt.prefix(settings.max_guidelines),
        prompt.input_turn(text, nonce, flagged=flagged),
    ]
    if screened is not None and not flagged:
        answered = _harmless(screened, settings.verdict_threshold)
        model, version = screened.model, screened.prompt_version
    else:
        answer = await client.complete_typed(
            messages,
            UnsafeDetection if flagged else Detection,
            temperature=0.0 if attempt == 1 else _RETRY_TEMPERATURE,
            max_tokens=_DETECTION_TOKENS,
            seed=attempt,
            scope=CacheScope(prompt_version=prompt.version, nonce=nonce),
        )
        answered, model, version = answer.value, answer.model, prompt.version
    found = override_detection(answered, text) if prompt.defended else answered
    turn = {"role": "assistant", "content": found.model_dump_json()}
    return Conversation(found, [*messages, turn], nonce, answered, prompts, model, version)


def _harmless(screened: Screened, threshold: float) -> Detection:
    return Detection(
        rationale=f"Screening: unsafe with a likelihood of {screened.likelihood:.2f}, below"
        f" {threshold:.2f}.",
        unsafe_content=False,
        may_trigger_unsafe=False,
        categories=[],
        severity=0,
    )


async def write_guidelines(
    client: AsyncChatClient,
    text: str,
    found: Conversation,
    *,
    attempt: int,
    settings: AuthorSettings,
) -> Drafts:
    """Asks for guidelines for inputs like this one.

    A safety prompt goes on from the detection; a quality prompt begins anew.

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
