"""De-duplication by wording against the comparison of all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz import fuzz

from guidealign.ingest import fold_text
from guidealign.library import deduplicate_texts, wording
from guidealign.library import fuzzy as room

THRESHOLD = 0.75
WORDS = st.sampled_from(["keep", "the", "door", "shut", "doors", "open", "never", "a", "window"])
TEXTS = st.lists(WORDS, max_size=8).map(" ".join)


def _all_pairs(texts: list[str], threshold: float) -> list[int]:
    folded = [fold_text(text) for text in texts]
    kept: list[int] = []
    for i, own in enumerate(folded):
        if not any(fuzz.ratio(own, folded[j]) >= threshold * 100 for j in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        # "abcd" and "abxd" share the subsequence "abd": 2 * 3 / 8
        ("abcd", "abxd", 0.75),
        ("Shut  the door", "shut the DOOR", 1.0),
        ("", "", 1.0),
        ("abc", "xyz", 0.0),
    ],
)
def test_wording_is_twice_the_common_part_over_both_lengths(
    left: str, right: str, expected: float
) -> None:
    assert wording(left, right) == pytest.approx(expected)


@given(st.lists(TEXTS, max_size=40), st.sampled_from([0.3, 0.75, 1.0]))
@settings(deadline=None)
def test_keeps_what_comparing_all_pairs_keeps(texts: list[str], threshold: float) -> None:
    result = deduplicate_texts(texts, threshold=threshold, workers=1)
    assert result.kept.tolist() == _all_pairs(texts, threshold)
    for i, witness in enumerate(result.witness.tolist()):
        if witness < 0:
            assert i in result.kept
            continue
        assert witness < i
        assert witness in result.kept
        assert result.score[i] >= threshold - 1e-6
        assert result.score[i] == pytest.approx(wording(texts[i], texts[witness]), abs=1e-6)


def test_over_several_blocks_and_full_buckets_nothing_is_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Small limits bring every way into play: rare keys, common ones, and all by length.
    for name, value in (("_BLOCK", 50), ("_BUCKET", 3), ("_RARE", 2), ("_TRIED", 1), ("_GROUP", 4)):
        monkeypatch.setattr(room, name, value)
    rng = np.random.default_rng(0)
    words = ["keep", "every", "promise", "that", "was", "made", "to", "people", "who", "asked"]
    texts = [" ".join(rng.choice(words, rng.integers(2, 14))) for _ in range(400)]
    seen: list[int] = []
    result = deduplicate_texts(texts, threshold=THRESHOLD, progress=seen.append)
    assert result.kept.tolist() == _all_pairs(texts, THRESHOLD)
    assert 1 < len(result.kept) < 400
    assert seen == [50, 100, 150, 200, 250, 300, 350, 400]


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.1])
def test_a_threshold_that_means_nothing_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        deduplicate_texts(["a"], threshold=threshold)


def test_no_texts_are_no_duplicates() -> None:
    result = deduplicate_texts([], threshold=THRESHOLD)
    assert (len(result.kept), len(result.witness), len(result.score)) == (0, 0, 0)
