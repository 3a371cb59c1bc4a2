"""Splits texts into words and stems, and reads the lists of `filter_words.yaml`."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files

import yaml

_WORD = re.compile(r"\w+(?:['-]\w+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|\n+")
_ENDINGS = ("ations", "ation", "ingly", "ings", "ing", "edly", "ies", "ied", "est", "ers", "er")
_LATE_ENDINGS = ("ed", "es", "ly", "s", "e", "y")
_LEAST_STEM = 4


def words(text: str) -> list[str]:
    """Returns the lower-case words of a text, in order."""
    return _WORD.findall(text.lower().replace("\u2019", "'"))


def stem(word: str) -> str:
    """Strips a word's commonest English endings: roughly, but alike for any text."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _LEAST_STEM:
            word = word[: -len(ending)]
            break
    for ending in _LATE_ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _LEAST_STEM - 1:
            return word[: -len(ending)]
    return word


def content_stems(text: str) -> list[str]:
    """Returns the stems of the words that carry meaning, in order."""
    return [stem(word) for word in words(text) if word not in common_words() and len(word) > 2]


def sentences(text: str) -> list[str]:
    """Returns the sentences of a text, also those that a semicolon ends."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]


@lru_cache(maxsize=1)
def _lists() -> dict[str, list[str]]:
    content = (files(__package__) / "filter_words.yaml").read_text(encoding="utf-8")
    return {name: list(entries) for name, entries in yaml.safe_load(content).items()}


@lru_cache(maxsize=16)
def pattern(name: str) -> re.Pattern[str]:
    """Returns a pattern that finds any entry of a list at the start of a word."""
    entries = sorted(_lists()[name], key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(_entry(entry) for entry in entries)})", re.IGNORECASE)


@lru_cache(maxsize=1)
def telling_words() -> frozenset[str]:
    """Returns the listed first words of instructions."""
    return frozenset(_lists()["tells"])


@lru_cache(maxsize=1)
def common_words() -> frozenset[str]:
    """Returns the listed function words, which say nothing about a text's subject."""
    return frozenset(_lists()["common"])


@lru_cache(maxsize=1)
def given_names() -> frozenset[str]:
    """Returns the listed given names, with their capital."""
    return frozenset(_lists()["given_names"])


@lru_cache(maxsize=1)
def listed_words() -> tuple[str, ...]:
    """Returns the entries of all lists but the names."""
    return tuple(
        entry.rstrip("$")
        for name, entries in _lists().items()
        if name != "given_names"
        for entry in entries
    )


def _entry(entry: str) -> str:
    whole = entry.endswith("$")
    return r"\s+".join(map(re.escape, entry.rstrip("$").split())) + (r"\b" if whole else "")
