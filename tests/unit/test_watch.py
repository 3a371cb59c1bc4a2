"""The bound of the watch: right on the textbook's case, and rarely wrong by luck."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guidealign.gates import InterimPlan, interim_level
from guidealign.promotion._watch_store import Counts
from guidealign.promotion.watch import least_increase


def test_it_is_newcombes_interval() -> None:
    # Newcombe 1998, table II, method 10, example (a): 56/70 - 48/80, 95%: 0.0524 to 0.3339.
    counts = Counts(n_before=80, k_before=48, n_since=70, k_since=56)
    assert least_increase(counts, 0.025) == pytest.approx(0.0524, abs=1e-4)


@given(
    st.integers(1, 500), st.integers(1, 500), st.floats(0, 1), st.floats(0, 1),
    st.floats(1e-6, 0.2),
)  # fmt: skip
def test_the_bound_is_below_what_was_seen_and_lower_the_surer(
    n_before: int, n_since: int, before: float, since: float, level: float
) -> None:
    counts = Counts(
        n_before=n_before, k_before=int(before * n_before), n_since=n_since,
        k_since=int(since * n_since),
    )  # fmt: skip
    bound = least_increase(counts, level)
    seen = counts.k_since / n_since - counts.k_before / n_before
    assert -1 - 1e-9 <= bound <= seen + 1e-9
    assert least_increase(counts, level / 2) <= bound + 1e-12
    assert math.isfinite(bound)


@pytest.mark.parametrize("share", [0.03, 0.2, 0.5])
def test_twenty_looks_at_a_version_that_is_as_before_rarely_alarm(share: float) -> None:
    """At the margin itself: 1,000 promotions, looked at whenever a quarter more has come."""
    rng = np.random.default_rng(7)
    margin, level = 0.05, 0.05 / 3
    sizes = [round(200 * 1.25**k) for k in range(20)]
    false_alarms = 0
    for _ in range(1_000):
        k_before = int(rng.binomial(400, share))
        marks = np.cumsum(rng.random(sizes[-1]) < share + margin)
        for number, n in enumerate(sizes, start=1):
            counts = Counts(n_before=400, k_before=k_before, n_since=n, k_since=int(marks[n - 1]))
            if least_increase(counts, interim_level(level, number, InterimPlan())) > margin:
                false_alarms += 1
                break
    assert false_alarms / 1_000 <= level
