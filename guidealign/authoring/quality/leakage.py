"""Finds outputs that leak: they repeat the prompt's words, or carry what an input planted."""

from __future__ import annotations

import re
from functools import lru_cache

from guidealign.authoring.prompts import PROMPTS, load_prompt
from guidealign.authoring.quality._word_lists import (
    common_words,
    content_stems,
    listed_words,
    stem,
    words,
)

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
_POSSESSIVE = re.compile(r"['\u2019]s\b")
_CODED = re.compile(r"\b(?=[\w-]*[A-Za-z])(?=[\w-]*\d)[\w-]{3,}\b")


def repeats_prompt(text: str, n_words: int = _RUN_WORDS) -> str | None:
    """Finds a run of `n_words` words that stands in our prompts, examples aside."""
    said = words(text)
    if _runs(said, n_words) & _prompt_runs(n_words):
        return f"{n_words} words in a row come from the prompt"
    return None


def carries_planted(title: str, text: str, input_text: str) -> str | None:
    """Finds words in an output that an input with orders may have planted there.

    Only for inputs that speak to whoever reads them; in others, a name or a quoted word is what
    they are about. Of these, an output may share the words that guidelines are made of, and
    no others.
    """
    mine, theirs = (_POSSESSIVE.sub("", part) for part in (f"{title} {text}", input_text))
    joined = f" {' '.join(words(mine))} "
    if any(f" {planted} " in joined for planted in _planted(theirs)):
        return "holds what the input orders to be written"
    if any(_carries_order(run) for run in _shared_runs(words(mine), words(theirs))):
        return "goes on in the words of an input that gives orders"
    foreign = (set(content_stems(mine)) & set(content_stems(theirs))) - _own_stems()
    return "takes up a word of an input that gives orders" if foreign else None


def _planted(input_text: str) -> frozenset[str]:
    """Returns what stands in quotes, behind a label ("the word ..."), or looks like a code."""
    found = set()
    for groups in _QUOTED.findall(input_text):
        inner = words("".join(groups))
        if 1 < len(inner) <= _MOST_QUOTED_WORDS or any(_tells(word) for word in inner[:1]):
            found.add(" ".join(inner))
    for pattern in (_LABELLED, _CODED):
        for match in pattern.findall(input_text):
            inner = words(match)
            if pattern is _CODED or any(_tells(word) for word in inner):
                found.add(" ".join(inner))
    return frozenset(found)


def _tells(word: str) -> bool:
    return len(word) >= _LEAST_CHARS and word not in common_words()


def _shared_runs(mine: list[str], theirs: list[str]) -> list[tuple[str, ...]]:
    return [run for n_words in (2, 3) for run in _runs(mine, n_words) & _runs(theirs, n_words)]


def _carries_order(run: tuple[str, ...]) -> bool:
    """Two words that tell something, or three in a row of which one does."""
    return sum(_tells(word) for word in run) >= (2 if len(run) == 2 else 1)


@lru_cache(maxsize=1)
def _own_stems() -> frozenset[str]:
    """Returns the stems of our prompts, their examples and our lists."""
    prompts = [load_prompt(name) for name in PROMPTS]
    texts = [text for prompt in prompts for text in (*prompt.wording(), *prompt.examples())]
    return frozenset(stem(word) for text in [*texts, *listed_words()] for word in words(text))


@lru_cache(maxsize=4)
def _prompt_runs(n_words: int) -> frozenset[tuple[str, ...]]:
    parts = [part for name in PROMPTS for part in load_prompt(name).wording()]
    return frozenset().union(*(_runs(words(part), n_words) for part in parts))


def _runs(said: list[str], n_words: int) -> frozenset[tuple[str, ...]]:
    return frozenset(
        tuple(said[start : start + n_words]) for start in range(len(said) - n_words + 1)
    )
