"""Which guided answers are fit to learn from. Each filter has a name that is stored."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

MIN_TRIMMED_CHARS = 40
"""A cut answer is worth keeping when its whole sentences are at least this long."""

_SENTENCE_END = re.compile(r"[.!?][\"')\]]*(?=\s|$)")
_WORD = re.compile(r"[\w']+")
_LIST_MARK = re.compile(r"\n\s*(?:\d+[.)]|[-*])\s*$")
_LINE = re.compile(r"(?<=[.!?])\s+|\n+")
_REPEATED_LINE = 3
_GRAM = 4
_LEAST_GRAMS = 16
_LEAST_DISTINCT_SHARE = 0.6
_RECITED_WORDS = 9

_REFUSAL = re.compile(
    # "I'm sorry" alone is sympathy as often as refusal, so what cannot be done must follow.
    r"\b(?:i (?:can't|cannot|can not|won't|will not|must decline)"
    r"|i(?:'m| am) (?:unable|not able|not allowed|not comfortable))"
    r"(?: to)?(?: \w+)? (?:help(?! but)|assist|provid|answer|support|comply|fulfil|offer|discuss"
    r"|engage|do (?:that|this)|respond|create|generate)",
    re.IGNORECASE,
)
REFUSAL_WINDOW = 200
"""Characters from the start in which a refusal shows itself."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An answer after the filters: its words as they are kept, and why it is left out."""

    response: str
    filtered_reason: str | None


def judge(
    response: str, *, finish_reason: str, known_safe: bool, guidelines: Sequence[str]
) -> Judged:
    """Applies the filters in order; the first that stops an answer names the reason.

    Reasons: `empty`, `repeats` (degenerate repetition), `truncated` (cut before a whole
    sentence worth keeping), `recites_guidelines` (quotes what Labrador will never see),
    `refuses_benign` (refuses an input known to be safe). Whether an answer *ignores* its
    guidelines takes a judge, not a pattern.

    Args:
        response: the model's words.
        finish_reason: `length` when the answer was cut.
        known_safe: the input was labelled or assessed as safe.
        guidelines: the texts that stood in front of the input.
    """
    kept = response.strip()
    if not _WORD.search(kept):
        return Judged(response=kept, filtered_reason="empty")
    if _repeats(kept):
        return Judged(response=kept, filtered_reason="repeats")
    if finish_reason == "length":
        trimmed = trim_to_sentence(kept)
        if len(trimmed) < MIN_TRIMMED_CHARS:
            return Judged(response=kept, filtered_reason="truncated")
        kept = trimmed
    if _recites(kept, guidelines):
        return Judged(response=kept, filtered_reason="recites_guidelines")
    if known_safe and refuses(kept):
        return Judged(response=kept, filtered_reason="refuses_benign")
    return Judged(response=kept, filtered_reason=None)


def refuses(text: str) -> bool:
    """Whether an answer begins by declining."""
    return bool(_REFUSAL.search(text[:REFUSAL_WINDOW].replace("\u2019", "'")))


def trim_to_sentence(text: str) -> str:
    """Cuts behind the last whole sentence, and drops a list mark left alone behind it."""
    ends = [
        match.end()
        for match in _SENTENCE_END.finditer(text)
        # "3." at the start of a line numbers a list, it ends no sentence.
        if not _LIST_MARK.search("\n" + text[: match.end()])
    ]
    return text[: ends[-1]].rstrip() if ends else ""


def _repeats(text: str) -> bool:
    lines = Counter(" ".join(line.casefold().split()) for line in _LINE.split(text))
    if any(n >= _REPEATED_LINE and len(_WORD.findall(line)) >= _GRAM for line, n in lines.items()):
        return True
    grams = _grams(text, _GRAM)
    return len(grams) >= _LEAST_GRAMS and len(set(grams)) / len(grams) < _LEAST_DISTINCT_SHARE


def _recites(text: str, guidelines: Sequence[str]) -> bool:
    said = set(_grams(text, _RECITED_WORDS))
    return any(said.intersection(_grams(guideline, _RECITED_WORDS)) for guideline in guidelines)


def _grams(text: str, n: int) -> list[tuple[str, ...]]:
    words = _WORD.findall(text.casefold())
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
