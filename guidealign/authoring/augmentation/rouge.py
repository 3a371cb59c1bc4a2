"""ROUGE-L between two texts (Lin 2004), as the package rouge_score counts it, and its bounds."""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"[a-z0-9]+")


def rouge_words(text: str) -> list[str]:
    """Runs of ASCII letters and digits in lower case, not stemmed.

    A text in another script has none and is like no other text.
    """
    return _WORD.findall(text.lower())


def rouge_l(n_common: int, n_left: int, n_right: int) -> float:
    """F1 from the length of the longest common subsequence of words.

    Operation by operation what rouge_score does: a value at a threshold falls on the same side.
    """
    if not n_common:
        return 0.0
    precision, recall = n_common / n_right, n_common / n_left
    return 2 * precision * recall / (precision + recall)


@lru_cache(maxsize=1 << 16)
def least_common(n_left: int, n_right: int, threshold: float) -> int:
    """The fewest common words with which two lengths come over a threshold.

    More than the shorter text has: no two texts of these lengths do.
    """
    # F1 is 2 c / (m + n) but for rounding, which moves it by far less than one word does.
    least = max(1, int(threshold * (n_left + n_right) / 2) - 1)
    while rouge_l(least, n_left, n_right) <= threshold:
        least += 1
    return least


@lru_cache(maxsize=1 << 12)
def least_common_with_any(n_words: int, threshold: float) -> int:
    """The fewest common words with which a text comes over a threshold with any other."""
    # The shorter the other text, the fewer are needed; with too short a one no number suffices.
    other = 1
    while (least := least_common(n_words, other, threshold)) > min(n_words, other):
        other += 1
    return least
