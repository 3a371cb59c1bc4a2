"""Outputs that give back what they were fed: the prompt's words, or what an input planted."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

from guidealign.authoring._prompts import PROMPTS, load_prompt
from guidealign.authoring._words import common_words, words

_RUN_WORDS = 8
"""Shorter runs of the prompt ("says what the assistant should do") are anybody's English."""
_LEAST_CHARS = 4
_MOST_QUOTED_WORDS = 8
_QUOTED = re.compile(
    r"\"([^\"\n]{3,80})\"|\u201c([^\u201d\n]{3,80})\u201d|(?<!\w)'([^'\n]{3,80})'(?!\w)"
)
_LABELLED = re.compile(
    r"\b(?:words?|token|phrase|slogan|code|password|brand|shop|user|agent|title|heading|named?"
    r"|called?|titled|begin with|start with|contain|praise)\s+"
    r"(?:is |are |the )?(?:word |words |wizard )?[\"'\u201c\u2018\[]?([\w-]{4,})",
    re.IGNORECASE,
)
_CODED = re.compile(r"\b(?=[\w-]*[A-Za-z])(?=[\w-]*\d)[\w-]{3,}\b")


def repeats_prompt(text: str, n_words: int = _RUN_WORDS) -> str | None:
    """A run of so many words that stands in our prompts, examples aside."""
    said = words(text)
    if _runs(said, n_words) & _prompt_runs(n_words):
        return f"{n_words} words in a row come from the prompt"
    return None


def carries_planted(title: str, text: str, input_text: str) -> str | None:
    """Something that an input with orders wants to see in the output.

    Only for inputs that speak to whoever reads them: in others, a name or a quoted word is
    what they are about.
    """
    said = words(f"{title} {text}")
    joined = f" {' '.join(said)} "
    planted = next((p for p in sorted(_planted(input_text)) if f" {p} " in joined), None)
    if planted:
        return f"holds what the input orders to be written ({len(planted.split())} words of it)"
    theirs = _content_pairs(words(input_text))
    if theirs & _content_pairs(said):
        return "goes on in the words of an input that gives orders"
    return None


def _planted(input_text: str) -> frozenset[str]:
    """What stands in quotes, behind a label ("the word ..."), or looks like a code."""
    found = set()
    for groups in _QUOTED.findall(input_text):
        inner = words("".join(groups))
        if len(inner) <= _MOST_QUOTED_WORDS and any(_tells(word) for word in inner):
            found.add(" ".join(inner))
    for pattern in (_LABELLED, _CODED):
        for match in pattern.findall(input_text):
            inner = words(match)
            if pattern is _CODED or any(_tells(word) for word in inner):
                found.add(" ".join(inner))
    return frozenset(found)


def _tells(word: str) -> bool:
    return len(word) >= _LEAST_CHARS and word not in common_words()


def _content_pairs(said: list[str]) -> set[tuple[str, str]]:
    return {(left, right) for left, right in pairwise(said) if _tells(left) and _tells(right)}


@lru_cache(maxsize=4)
def _prompt_runs(n_words: int) -> frozenset[tuple[str, ...]]:
    parts = [part for name in PROMPTS for part in load_prompt(name).wording()]
    return frozenset().union(*(_runs(words(part), n_words) for part in parts))


def _runs(said: list[str], n_words: int) -> frozenset[tuple[str, ...]]:
    return frozenset(
        tuple(said[start : start + n_words]) for start in range(len(said) - n_words + 1)
    )
