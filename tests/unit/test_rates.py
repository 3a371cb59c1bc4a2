"""Rates and their intervals, against numbers worked by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guidealign.rates import Rate, rogan_gladen_interval, wilson_interval


def test_wilson_by_hand() -> None:
    # 18 of 20, z = 1.96: centre (0.9 + 3.8416/40) / (1 + 3.8416/20) = 0.8355, half 0.1366.
    low, high = wilson_interval(18, 20)
    assert (low, high) == (pytest.approx(0.699, abs=1e-3), pytest.approx(0.972, abs=1e-3))


@given(st.integers(0, 500), st.integers(0, 500))
def test_wilson_holds_the_rate_and_has_width_at_the_ends(successes: int, failures: int) -> None:
    n = successes + failures
    low, high = wilson_interval(successes, n)
    rate = successes / n if n else 0.5
    assert 0.0 <= low <= rate + 1e-12
    assert rate - 1e-12 <= high <= 1.0
    assert high > low


def test_a_rate_of_nothing_says_nothing() -> None:
    assert (Rate(0, 0).value, Rate(0, 0).interval()) == (0.0, (0.0, 1.0))


def test_a_rate_goes_out_with_what_it_was_counted_over() -> None:
    assert Rate(18, 20).as_dict() == {
        "hits": 18,
        "n": 20,
        "value": 0.9,
        "low": pytest.approx(0.699, abs=1e-3),
        "high": pytest.approx(0.972, abs=1e-3),
    }


def test_rogan_gladen_by_hand() -> None:
    # (0.3 + 0.9 - 1) / (0.8 + 0.9 - 1) = 2 / 7.
    rate, low, high = rogan_gladen_interval(Rate(300, 1000), Rate(80, 100), Rate(90, 100))
    assert rate == pytest.approx(2 / 7)
    assert low < 2 / 7 < high
    # Of so many labels, only the judge's own share is uncertain: 1.96 sqrt(0.21 / 1000) / 0.7.
    million = 1_000_000
    _, low, high = rogan_gladen_interval(
        Rate(300, 1000), Rate(8 * million, 10 * million), Rate(9 * million, 10 * million)
    )
    assert (high - low) / 2 == pytest.approx(0.0406, abs=2e-4)


@given(st.integers(0, 200), st.integers(31, 60), st.integers(31, 60))
def test_rogan_gladen_is_an_interval_of_a_share(hits: int, found: int, left: int) -> None:
    rate, low, high = rogan_gladen_interval(Rate(hits, 200), Rate(found, 60), Rate(left, 60))
    assert 0.0 <= low <= high <= 1.0
    assert 0.0 <= rate <= 1.0


@pytest.mark.parametrize(
    ("said", "found", "left"),
    [
        (Rate(0, 0), Rate(9, 10), Rate(9, 10)),
        (Rate(5, 9), Rate(0, 0), Rate(9, 10)),
        (Rate(5, 9), Rate(5, 10), Rate(5, 10)),
    ],
)
def test_a_judge_that_knows_nothing_corrects_nothing(said: Rate, found: Rate, left: Rate) -> None:
    with pytest.raises(ValueError, match="judge"):
        rogan_gladen_interval(said, found, left)
