"""Sorts the texts of a model's answer into new inputs and rejects, by their form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guidealign.authoring.augmentation._list_continuation import is_refusal, parse_list
from guidealign.ingest import fold_text, normalize_text, redact_text
from guidealign.llm import ChatResult
from guidealign.settings import AugmentSettings

REASONS = {
    "refusal": "the model declined to write messages of this kind",
    "refused_request": "the endpoint refused the request",
    "no_list": "the answer holds no list of messages",
    "cut_off": "the answer ended in the middle of it",
    "surplus": "the category has what it should have",
    "too_short": "it says too little",
    "too_long": "it is longer than a new input may be",
    "prompt_marks": "it repeats marks of the prompt",
    "copies_example": "it is one of the messages that were shown",
    "too_similar": "its ROUGE-L with an input that is there is over the threshold",
    "duplicate": "an input says exactly this",
    "near_copy": "it is a near copy of an input that is there",
}


@dataclass(frozen=True, kw_only=True)
class Proposed:
    """A text with personal data masked; `reason` says why it is not to be stored."""

    text: str
    reason: str | None = None


def read_answer(
    answer: ChatResult,
    *,
    examples: Sequence[str],
    nonce: str,
    settings: AugmentSettings,
) -> list[Proposed]:
    """Reads an answer's texts and rejects some by their form; stored inputs are not looked at here.

    Args:
        answer: hostile or noisy, as models are.
        examples: the messages that were shown.
        nonce: of the marks of this request.
        settings: bounds of a new input's length.

    Returns:
        At least one; an answer without a list is one rejected text.
    """
    items = parse_list(answer.text)
    if not items:
        why = "refusal" if is_refusal(answer.text.strip()) else "no_list"
        return [Proposed(text=_masked(answer.text), reason=why)]
    shown = {fold_text(example) for example in examples}
    proposed = []
    for place, item in enumerate(items):
        text = _masked(item)
        reason = _problem(text, shown, nonce, settings)
        if answer.finish_reason == "length" and place == len(items) - 1:
            reason = "cut_off"
        proposed.append(Proposed(text=text, reason=reason))
    return proposed


def _masked(text: str) -> str:
    """Normalises and masks a text as ingest does; the unmasked text is kept nowhere."""
    return redact_text(normalize_text(text))


def _problem(text: str, shown: set[str], nonce: str, settings: AugmentSettings) -> str | None:
    if is_refusal(text):
        return "refusal"
    if nonce in text or "<messages-" in text or "</messages-" in text:
        return "prompt_marks"
    if len(text) < settings.min_chars:
        return "too_short"
    if len(text) > settings.max_chars:
        return "too_long"
    return "copies_example" if fold_text(text) in shown else None
