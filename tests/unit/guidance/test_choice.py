"""Which guidelines an input gets: topics are decided apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guidealign.guidance import Choice, RiskProbe, TopicThresholds, choose, is_risky
from guidealign.records import CATEGORIES, QUALITY_TOPICS, RISK_CATEGORIES, RetrievedGuideline
from tests.fakes.policies import POLICY, policy

CALIBRATED = TopicThresholds(
    rule="risk", risk=0.5, cosine=0.4, quality=0.3, probe=RiskProbe((1.0,), 0.0)
)
WORDS = (
    "kindness",
    "a number",
    "some place",
    "his doctor",
    "her music",
    "five apples",
    "old tools",
)


def library(*found: tuple[str, float]) -> list[RetrievedGuideline]:
    ordered = sorted(enumerate(found), key=lambda one: -one[1][1])
    return [
        RetrievedGuideline(
            guideline_id=number,
            title="t",
            text=f"{WORDS[number % len(WORDS)]} {number}",
            category=category,
            rank=rank,
            score=score,
        )
        for rank, (number, (category, score)) in enumerate(ordered, start=1)
    ]


def chosen(
    guidelines: Sequence[RetrievedGuideline],
    *,
    risk: float | None,
    n_candidates: int = 20,
    categories: Sequence[str] | None = None,
    thresholds: TopicThresholds = CALIBRATED,
) -> Choice:
    def search(k: int, among: Sequence[str] | None) -> list[RetrievedGuideline]:
        return [g for g in guidelines if among is None or g.category in among][:k]

    rule = policy(n_candidates=n_candidates, near_duplicate_threshold=1.0)
    return choose(search, rule, thresholds, risk=risk, categories=categories)


def ids(choice: Choice) -> list[int]:
    return [g.guideline_id for g in choice.guidelines]


MIXED = library(("Quality_Maths", 0.9), ("Quality_Maths", 0.8), ("Insult", 0.7), ("Insult", 0.6))


def test_an_input_that_is_not_risky_gets_what_is_about_quality_alone() -> None:
    assert ids(chosen(MIXED, risk=0.1)) == [0, 1]
    only_unsafe = chosen(library(("Insult", 0.9)), risk=0.1)
    assert (ids(only_unsafe), only_unsafe.reason) == ([], "below-threshold")
    assert [g.guideline_id for g in only_unsafe.nearest] == [0]


def test_a_risky_input_keeps_an_unsafe_topic_guideline_however_near_the_others_are() -> None:
    assert ids(chosen(MIXED, risk=0.9)) == [2, 0]
    # Nor does it matter that none is among the candidates.
    further = chosen(MIXED, risk=0.9, n_candidates=2)
    assert ids(further) == [2, 0]
    assert [g.rank for g in further.candidates] == [1, 2, 3, 4]


def test_a_guideline_about_quality_has_to_be_near_enough() -> None:
    far = library(("Quality_Maths", 0.29), ("Insult", 0.2))
    assert chosen(far, risk=0.1).reason == "below-threshold"
    assert ids(chosen(far, risk=0.9)) == [1]
    near = library(("Quality_Maths", 0.31), ("Insult", 0.9))
    assert ids(chosen(near, risk=0.1)) == [0]
    assert ids(chosen(near, risk=0.1, n_candidates=1)) == [0]


def test_where_nothing_was_calibrated_the_nearest_are_given() -> None:
    assert ids(chosen(MIXED, risk=None, thresholds=TopicThresholds())) == [0, 1]


def test_categories_that_a_request_names_are_all_that_it_gets() -> None:
    assert ids(chosen(MIXED, risk=0.9, categories=["Insult"])) == [2, 3]
    assert ids(chosen(MIXED, risk=0.1, categories=["Quality_Maths"])) == [0, 1]
    nothing = chosen(MIXED, risk=0.9, categories=["Mental_Health"])
    assert nothing.reason == "none-in-risks"


@pytest.mark.parametrize(
    ("rule", "risk", "cosine", "expected"),
    [
        ("calibrated", 0.6, 0.0, True),
        ("risk", 0.4, 0.9, False),
        ("cosine", 0.0, 0.41, True),
        ("cosine", 1.0, 0.39, False),
        ("always", 0.0, 0.0, None),
        # Without a probe there is the cosine alone.
        ("risk", None, 0.41, True),
    ],
)
def test_the_policy_names_the_rule(
    rule: str, risk: float | None, cosine: float, *, expected: bool | None
) -> None:
    found = is_risky(risk, cosine, policy(topic_rule=rule), CALIBRATED)
    assert found is expected
    own = policy(topic_rule=rule, unsafe_threshold=-1.0)
    assert is_risky(risk, cosine, own, CALIBRATED) is (None if rule == "always" else True)


def test_a_budget_that_holds_nothing_is_told() -> None:
    small = policy(max_tokens=1)
    choice = choose(lambda _k, _among: MIXED, small, CALIBRATED, risk=0.9)
    assert (choice.guidelines, choice.reason) == ((), "budget")


@given(
    st.lists(st.tuples(st.sampled_from(CATEGORIES), st.floats(-1, 1, width=32)), max_size=30),
    st.floats(0, 1),
    st.integers(1, 30),
)
def test_topics_never_mix_up(
    found: list[tuple[str, float]], risk: float, n_candidates: int
) -> None:
    guidelines = library(*found)
    choice = chosen(guidelines, risk=risk, n_candidates=n_candidates)
    topics = {g.category for g in choice.guidelines}
    assert len(choice.guidelines) <= POLICY.k
    assert len({g.guideline_id for g in choice.guidelines}) == len(choice.guidelines)
    if risk < 0.5:
        assert topics <= set(QUALITY_TOPICS)
    elif any(g.category in RISK_CATEGORIES for g in guidelines):
        assert topics & set(RISK_CATEGORIES)
    assert bool(choice.guidelines) == (choice.reason is None)


def test_the_probe_is_a_logistic_regression() -> None:
    probe = RiskProbe((2.0, -1.0), 0.5)
    vectors = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    # The logistic function of 2.5 and of -0.5.
    assert probe.risk(vectors) == pytest.approx([0.92414, 0.37754], abs=1e-4)
