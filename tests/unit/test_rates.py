"""Rates and their intervals, against numbers worked by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guidealign.rates import Rate, wilson_interval


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
