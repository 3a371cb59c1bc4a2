from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guidealign.alignment._similarity import edit_distance, is_near, similarity


@dataclass(frozen=True)
class Case:
    id: str
    a: str
    b: str
    distance: int


CASES = [
    Case("equal", "abc", "abc", 0),
    Case("nothing_left", "", "abc", 3),
    Case("nothing_right", "abc", "", 3),
    # k->s, e->i, and a g at the end
    Case("kitten", "kitten", "sitting", 3),
    # two characters swapped are two substitutions
    Case("swap", "ab", "ba", 2),
    # wider than a machine word: one insertion in 200 characters
    Case("long", "x" * 100 + "y" * 100, "x" * 100 + "z" + "y" * 100, 1),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_known_distances(case: Case) -> None:
    assert edit_distance(case.a, case.b) == case.distance


def _by_table(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


@given(st.text(alphabet="abcd ", max_size=90), st.text(alphabet="abcd ", max_size=90))
def test_agrees_with_the_textbook_table(a: str, b: str) -> None:
    assert edit_distance(a, b) == _by_table(a, b) == edit_distance(b, a)


def test_similarity_folds_case_and_white_space() -> None:
    assert similarity("Be  Kind\n", "be kind") == 1.0
    # 3 edits over the longer length of 7
    assert similarity("kitten", "sitting") == pytest.approx(1 - 3 / 7)
    assert similarity("", " ") == 1.0


@given(st.text(max_size=40), st.text(max_size=40), st.floats(0.05, 1))
def test_the_length_shortcut_changes_no_verdict(a: str, b: str, threshold: float) -> None:
    assert is_near(a, b, threshold) == (similarity(a, b) >= threshold)
