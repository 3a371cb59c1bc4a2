"""Authors one input: the model detects and writes, the quality filter judges."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from guidealign.authoring.model import Authored, Drafts, JudgedDraft, PromptedCall
from guidealign.authoring.prompts import (
    QUALITY_PROMPT,
    SAFETY_PROMPT,
    SCREEN_PROMPT,
    load_prompt,
)
from guidealign.authoring.quality import check_guideline
from guidealign.authoring.writing.questions import (
    detect,
    packaged_prompts,
    screen,
    write_guidelines,
)
from guidealign.ingest import normalize_text
from guidealign.llm import AsyncChatClient, recorded_calls
from guidealign.settings import AuthorSettings


@dataclass
class StageCalls:
    """The stage that an input is in, and the calls that were made for it."""

    stage: str = "detect"
    calls: list[PromptedCall] = field(default_factory=list)

    @contextmanager
    def at(self, stage: str, prompt: str) -> Iterator[None]:
        """Records the calls of a stage, also when it fails."""
        self.stage = stage
        with recorded_calls() as calls:
            try:
                yield
            finally:
                version = load_prompt(prompt).version
                self.calls += [
                    PromptedCall(stage=stage, prompt_version=version, call=call) for call in calls
                ]


async def author_input(
    client: AsyncChatClient, text: str, *, attempt: int, settings: AuthorSettings, tries: StageCalls
) -> Authored:
    """Detects what is wrong with an input, and writes guidelines for it.

    It is screened first where the settings want it.

    Raises:
        ModelOutputError: an answer does not fit, also after the repair turn.
        BadInputError: the endpoint refuses the request.
        TransientError: the endpoint, or the database with the answers kept, does not answer.
        BudgetExceededError: what may be spent is spent.
        ConfigurationError: the endpoint is set up wrongly.
    """
    prompts = packaged_prompts(settings)
    with tries.at("screen", SCREEN_PROMPT):
        screened = await screen(client, text, attempt=attempt, prompts=prompts)
    with tries.at("detect", SAFETY_PROMPT):
        found = await detect(
            client, text, attempt=attempt, settings=settings, prompts=prompts, screened=screened
        )
    unsafe = found.detection.unsafe
    with tries.at("guidelines", SAFETY_PROMPT if unsafe else QUALITY_PROMPT):
        drafts = await write_guidelines(client, text, found, attempt=attempt, settings=settings)
    return Authored(
        detection=found.detection,
        prompt_version=found.prompt_version,
        guideline_prompt_version=drafts.prompt_version,
        model=found.model,
        guideline_model=drafts.model,
        drafts=_judge(drafts, text),
    )


def _judge(drafts: Drafts, text: str) -> tuple[JudgedDraft, ...]:
    judged = []
    for draft in drafts.guidelines:
        title, words = normalize_text(draft.title), normalize_text(draft.text)
        verdict = check_guideline(title, words, text)
        judged.append(
            JudgedDraft(title=title, text=words, category=drafts.category, verdict=verdict)
        )
    return tuple(judged)
