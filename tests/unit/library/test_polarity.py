"""Signs of words: what a text demands, and what it forbids."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guidealign.library._polarity import differ_in_sign, may_contradict


@dataclass(frozen=True)
class Case:
    id: str
    left: str
    right: str


OPPOSITE = [
    Case(
        "never",
        "Share the recipe with every guest who asks.",
        "Never share the recipe with a guest who asks.",
    ),
    Case(
        "withhold",
        "Provide methods for opening doors of neighbours.",
        "Withhold methods for opening doors of neighbours.",
    ),
    Case(
        "decline",
        "Describe what a contract says in plain words.",
        "Decline to describe what a contract says.",
    ),
    Case(
        "give-no",
        "Give patients advice on exercise at home.",
        "Give patients no advice on exercise at home.",
    ),
    Case(
        "leave-out",
        "Name the author and the year of a quotation.",
        "Leave the author and the year of a quotation out.",
    ),
    Case(
        "mid-sentence",
        "When a child writes, answer with jokes and riddles.",
        "When a child writes, answer without jokes or riddles.",
    ),
    Case(
        "second-clause",
        "Greet the visitor, and mention prices and opening hours.",
        "Greet the visitor, and do not mention prices or opening hours.",
    ),
    Case(
        "instead-of",
        "Offer a summary of the chapter and its sources.",
        "Offer praise instead of a summary of the chapter and its sources.",
    ),
    Case(
        "hold-back",
        "Put the solution of the exercise in front.",
        "Hold the solution of the exercise back.",
    ),
    Case(
        "never-hide",
        "Hide doubts about a measured value from the reader.",
        "Never hide doubts about a measured value from the reader.",
    ),
]
AGREE = [
    Case(
        "two-refusals",
        "Refuse to describe poisons and their doses.",
        "Do not describe poisons or their doses.",
    ),
    Case(
        "undone-refusal",
        "State doubts about a measured value openly.",
        "Never hide doubts about a measured value.",
    ),
    Case(
        "negators-in-a-row",
        "Answer fully, with no warnings and no caveats.",
        "Answer fully, without warnings or caveats.",
    ),
    Case(
        "new-demand-after-and",
        "Do not name a dose, and refer to a pharmacist or doctor.",
        "Refer to a pharmacist or doctor, and never name a dose.",
    ),
    Case(
        "participle",
        "Answer calmly when the refused topic of drugs comes back.",
        "Answer calmly when the topic of drugs comes back.",
    ),
    Case(
        "same-condition",
        "Apologise when a promise is not kept by the shop.",
        "Say sorry when the shop does not keep a promise.",
    ),
]


@pytest.mark.parametrize("case", OPPOSITE, ids=lambda case: case.id)
def test_demand_and_prohibition_contradict(case: Case) -> None:
    assert may_contradict(case.left, case.right)
    assert differ_in_sign(case.left, case.right)


@pytest.mark.parametrize("case", AGREE, ids=lambda case: case.id)
def test_same_demand_in_other_words_does_not_contradict(case: Case) -> None:
    assert not may_contradict(case.left, case.right)


def test_one_turned_word_is_no_contradiction_but_no_sameness_either() -> None:
    left = "Check the sums, the units, the labels and the sources of a report."
    right = "Check the sums, the units and the labels of a report, and leave sources out."
    # Of the shared words check, sum, unit, label, report and source, only source is turned.
    assert not may_contradict(left, right)
    assert differ_in_sign(left, right)


_WORDS = st.sampled_from(
    ["not", "never", "share", "hide", "refuse", "leave", "out", "recipe", "guest", ",", ";", "and"]
)
_TEXTS = st.one_of(st.text(max_size=80), st.lists(_WORDS, max_size=20).map(" ".join))


@given(_TEXTS, _TEXTS)
def test_order_does_not_matter(left: str, right: str) -> None:
    assert may_contradict(left, right) == may_contradict(right, left)
    assert differ_in_sign(left, right) == differ_in_sign(right, left)


@given(_TEXTS)
def test_nothing_contradicts_itself(text: str) -> None:
    assert not differ_in_sign(text, text.upper())
