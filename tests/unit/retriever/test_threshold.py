"""Thresholds and curves worked by hand, and what holds for all of them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guidealign.retriever.model import LabelledInput
from guidealign.retriever.serving_form import choose_form
from guidealign.retriever.threshold import (
    Kind,
    RiskProbe,
    ScoredInput,
    calibrate,
    curve,
    fit_probe,
    kind_of,
    outcome_at,
    threshold_for,
)

SCORES = st.lists(st.integers(0, 100).map(float), min_size=1, max_size=80)
INPUTS = st.lists(
    st.builds(
        ScoredInput,
        st.sampled_from(["unsafe", "lookalike", "ordinary"]),
        st.integers(0, 20).map(float),
        st.integers(0, 60),
    ),
    max_size=80,
)


def test_threshold_by_hand() -> None:
    # Of 39 scores the lowest two may be missed: (1 - 0.95) * 40 = 2, so the second is the bar.
    assert threshold_for([float(i) for i in range(39)], 0.95) == 1.0
    # 19 scores: 0.05 * 20 = 1, the lowest. 18 are too few to promise it.
    assert threshold_for([float(i) for i in range(19)], 0.95) == 0.0
    assert threshold_for([float(i) for i in range(18)], 0.95) == -math.inf


@given(SCORES, st.floats(0.5, 0.99))
def test_so_many_reach_the_threshold(scores: list[float], least: float) -> None:
    threshold = threshold_for(scores, least)
    reached = sum(score >= threshold for score in scores)
    # A new one, the worst case, counts as missing it.
    assert reached / (len(scores) + 1) >= least - 1 / (len(scores) + 1) - 1e-9


@given(SCORES, st.floats(0.5, 0.99), st.floats(0.0, 0.4))
def test_asking_for_more_recall_never_raises_the_threshold(
    scores: list[float], least: float, more: float
) -> None:
    assert threshold_for(scores, min(0.999, least + more)) <= threshold_for(scores, least)


@given(INPUTS, st.integers(0, 20), st.integers(0, 20))
def test_a_higher_threshold_gives_no_kind_more(
    inputs: list[ScoredInput], one: int, other: int
) -> None:
    low, high = (outcome_at(float(t), inputs) for t in sorted((one, other)))
    for name in ("recall", "lookalike", "ordinary"):
        assert (getattr(high, name) or 0.0) <= (getattr(low, name) or 0.0)


def _scored(kind: Kind, *scores: float) -> list[ScoredInput]:
    return [ScoredInput(kind, score, f"{kind}-{place}") for place, score in enumerate(scores)]


def test_curve_by_hand() -> None:
    points = curve(
        [*_scored("unsafe", 0.9, 0.5), *_scored("lookalike", 0.7), *_scored("ordinary", 0.5)]
    )
    # Strictest first; the two of 0.5 share a point.
    assert [(p.threshold, p.recall, p.precision, p.coverage) for p in points] == [
        (0.9, 0.5, 1.0, 0.25),
        (0.7, 0.5, 0.5, 0.5),
        (0.5, 1.0, 0.5, 1.0),
    ]


@given(INPUTS)
def test_curve_runs_from_strict_to_lax(inputs: list[ScoredInput]) -> None:
    points = curve(inputs)
    assert [p.threshold for p in points] == sorted({i.score for i in inputs}, reverse=True)
    for before, after in itertools.pairwise(points):
        assert before.recall <= after.recall
        assert before.coverage < after.coverage
    for point in points:
        assert point.recall == pytest.approx(outcome_at(point.threshold, inputs).recall)


def test_calibration_says_what_it_promises_and_when_it_cannot() -> None:
    unsafe = _scored("unsafe", *(0.5 + 0.01 * i for i in range(39)))
    found = calibrate([*unsafe, *_scored("lookalike", 0.1, 0.6), *_scored("ordinary", 0.0)])
    assert found is not None
    assert found.threshold == pytest.approx(0.51)
    assert (found.n_unsafe, found.n_lookalike, found.n_ordinary) == (39, 2, 1)
    assert found.expected.lookalike == 0.5
    assert found.expected.ordinary == 0.0
    assert 0.9 <= found.expected.recall < 1.0
    assert not found.reaches_target

    apart = calibrate([*_scored("unsafe", *([0.9] * 39)), *_scored("lookalike", *([0.1] * 20))])
    assert apart is not None
    assert apart.reaches_target

    few = _scored("unsafe", *([0.9] * 19))
    assert calibrate(few) is None
    # Near copies of one input are one observation.
    assert calibrate([ScoredInput("unsafe", 0.9, 1)] * 50) is None


def _input(category: str, *, unsafe: bool) -> LabelledInput:
    return LabelledInput(1, "text", (1,), category, unsafe, "starter", 1)


def test_kinds_of_input() -> None:
    assert kind_of(_input("Insult", unsafe=True)) == "unsafe"
    assert kind_of(_input("Insult", unsafe=False)) == "lookalike"
    assert kind_of(_input("Quality_Coding", unsafe=False)) == "ordinary"


def test_probe_by_hand() -> None:
    probe = RiskProbe((2.0, 0.0), -1.0)
    # Logits 1 and -1: 1 / (1 + e^-1) and its complement.
    risk = probe.risk(np.array([[1, 0], [0, 1]], dtype=np.float32))
    assert risk.tolist() == pytest.approx([0.7311, 0.2689], abs=1e-4)


def test_probe_learns_which_side_is_unsafe_and_is_the_same_again() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(200, 8)).astype(np.float32)
    unsafe = [bool(v > 0) for v in vectors[:, 3]]
    probe = fit_probe(vectors, unsafe)
    right = (probe.risk(vectors) >= 0.5) == np.array(unsafe)
    assert right.mean() > 0.97
    assert max(range(8), key=lambda i: abs(probe.weights[i])) == 3
    assert fit_probe(vectors, unsafe) == probe
    # A heavier penalty draws the weights to nothing, and the risk to the share of unsafe ones.
    flat = fit_probe(vectors, unsafe, penalty=1e6)
    assert flat.risk(vectors[:1])[0] == pytest.approx(sum(unsafe) / 200, abs=0.01)


@pytest.mark.parametrize(
    ("float_recall", "int8_recall", "cosine", "form"),
    [
        (0.50, 0.50, 0.99, "int8"),
        (0.50, 0.60, 0.99, "int8"),
        (0.50, 0.49, 0.99, "int8"),  # 0.01 lost is what may be lost
        (0.50, 0.489, 0.99, "float32"),
        (0.50, 0.50, 0.96, "float32"),  # as good by luck
        (0.50, 0.50, math.nan, "float32"),
    ],
)
def test_eight_bits_serve_only_where_they_keep_quality(
    float_recall: float, int8_recall: float, cosine: float, form: str
) -> None:
    chosen, reason = choose_form(float_recall, int8_recall, cosine)
    assert chosen == form
    assert "int8" in reason
