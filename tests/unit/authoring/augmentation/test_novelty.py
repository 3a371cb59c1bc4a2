"""The index of kept texts says what comparing with every text by rouge_score says."""

from __future__ import annotations

import random

from hypothesis import example, given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from guidealign.authoring.augmentation.novelty import NoveltyIndex
from guidealign.authoring.augmentation.rouge import (
    least_common,
    least_common_with_any,
    rouge_l,
    rouge_words,
)

_SCORER = RougeScorer(["rougeL"], use_stemmer=False)
# Few words, so that texts are often alike, also with a word twice; and what is no word.
_WORDS = ["How", "do", "I", "pick", "a", "lock", "lock", "café", "7th", "don't", "...", "Москва"]
_texts = st.lists(st.sampled_from(_WORDS), max_size=14).map(" ".join)
_thresholds = st.sampled_from([0.1, 0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.95])


def _score(left: str, right: str) -> float:
    return float(_SCORER.score(left, right)["rougeL"].fmeasure)


def brute_force(texts: list[str], threshold: float) -> list[bool]:
    """The method as it is written down: a text against every one that was kept before it."""
    kept: list[str] = []
    said = []
    for text in texts:
        new = all(_score(other, text) <= threshold for other in kept)
        if new:
            kept.append(text)
        said.append(new)
    return said


@given(st.lists(_texts, max_size=40), _thresholds)
@example(["a b c d e f g x y z", "a b c d e f g p q r"], 0.7)
@example(["...", "...", ""], 0.7)
def test_the_same_texts_are_kept_as_by_comparing_all_pairs(
    texts: list[str], threshold: float
) -> None:
    assert NoveltyIndex(threshold).add_new(texts) == brute_force(texts, threshold)


@given(st.text(max_size=60), st.text(max_size=60))
def test_words_are_those_of_rouge_score(left: str, right: str) -> None:
    # A text against itself is 1 or, without a word, 0: the words decide both.
    assert bool(rouge_words(left)) == (_score(left, left) == 1.0)
    ours, theirs = rouge_words(left), rouge_words(right)
    if ours == theirs and ours:
        assert _score(left, right) == 1.0


@given(st.integers(1, 60), st.integers(1, 60), _thresholds)
def test_bounds_are_where_the_score_passes_the_threshold(m: int, n: int, threshold: float) -> None:
    least = least_common(m, n, threshold)
    assert rouge_l(least, m, n) > threshold
    assert rouge_l(least - 1, m, n) <= threshold
    if least <= min(m, n):
        assert least_common_with_any(m, threshold) <= least


def test_values_at_the_threshold_are_kept() -> None:
    # 7 of 10 words in common: 2 * 7 / 20 = 0.7, which is not over 0.7; 8 of 11 and 10 is 16 / 21.
    first = "a b c d e f g x y z"
    assert NoveltyIndex(0.7).add_new([first, "a b c d e f g p q r"]) == [True, True]
    assert NoveltyIndex(0.7).add_new([first, "a b c d e f g x q r s"]) == [True, False]


def test_order_of_words_counts() -> None:
    # The same 6 words turned round: one in common in order, 2 * 1 / 12.
    assert NoveltyIndex(0.7).add_new(["a b c d e f", "f e d c b a"]) == [True, True]
    assert NoveltyIndex(0.7).add_new(["a b c d e f", "A, b c-d e F!"]) == [True, False]


def test_reordering_changes_nothing() -> None:
    """Enough texts for the index to take new frequencies over twice."""
    draw = random.Random(1)
    # Word k is drawn about 1 / k as often as the first one, as in real texts.
    words = [f"w{k}" for k in range(1, 60) for _ in range(max(1, 60 // k))]
    texts = [" ".join(draw.choices(words, k=draw.randint(1, 9))) for _ in range(260)]
    kept = NoveltyIndex(0.7)
    assert kept.add_new(texts) == brute_force(texts, 0.7)
    assert len(kept) > 128
