"""Which of the retrieved guidelines are put in front of the model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz import fuzz

from guidealign.guidance import keep_distinct
from guidealign.records import RetrievedGuideline
from tests.fakes.policies import policy


def _found(texts: list[str]) -> list[RetrievedGuideline]:
    return [
        RetrievedGuideline(
            guideline_id=i, title="t", text=text, category="Insult", rank=i + 1, score=1 - i / 100
        )
        for i, text in enumerate(texts)
    ]


def test_case_and_white_space_make_no_difference() -> None:
    found = _found(["Say where help is found.", "say  WHERE help is found.", "Name the risk."])
    kept = keep_distinct(found, policy(near_duplicate_threshold=1.0))
    assert [k.guideline_id for k in kept] == [0, 2]


@given(
    st.lists(st.text(alphabet="abc ", min_size=1, max_size=12), max_size=12),
    st.integers(1, 6),
    st.sampled_from([0.3, 0.5, 0.8]),
)
def test_kept_are_the_first_and_no_two_alike(texts: list[str], k: int, threshold: float) -> None:
    found = _found(texts)
    kept = keep_distinct(found, policy(k=k, near_duplicate_threshold=threshold))
    fold = lambda text: " ".join(text.split())  # noqa: E731
    chosen: list[RetrievedGuideline] = []
    for candidate in found:
        alike = [fuzz.ratio(fold(candidate.text), fold(c.text)) / 100 for c in chosen]
        if len(chosen) < k and max(alike, default=0.0) < threshold:
            chosen.append(candidate)
    assert kept == chosen


def test_of_two_in_conflict_the_nearer_is_kept() -> None:
    found = _found(["Say where help is found.", "Name no place.", "Ask how they are."])
    rivals = {0: frozenset({1}), 1: frozenset({0})}
    kept = keep_distinct(found, policy(k=3, near_duplicate_threshold=1.0), rivals)
    assert [k.guideline_id for k in kept] == [0, 2]
