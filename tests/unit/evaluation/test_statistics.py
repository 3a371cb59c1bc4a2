"""The statistics of the gates, against numbers worked by hand and against truth by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from guidealign.evaluation.statistics import (
    cluster_standard_error,
    mcnemar_p,
    paired_interval,
    power_of_interval,
)


def test_mcnemar_by_hand() -> None:
    # 1 against 7: two-sided exact binomial, 2 * (1 + 8) / 2**8 = 0.0703.
    assert mcnemar_p(1, 7) == pytest.approx(18 / 256)
    assert mcnemar_p(0, 0) == 1.0


def test_standard_error_of_single_cases_is_the_textbook_one() -> None:
    values = np.array([1.0, 2.0, 4.0, 5.0])
    # Variance (4 + 1 + 1 + 4) / 3, over 4 cases: sqrt(3.3333 / 4) = 0.9129.
    assert cluster_standard_error(values, np.ones(4)) == pytest.approx(0.9129, abs=1e-4)


def test_copies_of_a_case_do_not_make_the_interval_narrower() -> None:
    values = [0.1, -0.2, 0.4, 0.3, 0.0, 0.5, -0.1, 0.2]
    once = paired_interval(values, range(8))
    thrice = paired_interval(values * 3, [*range(8)] * 3)
    assert (thrice.n, thrice.n_clusters) == (24, 8)
    assert thrice.high - thrice.low == pytest.approx(once.high - once.low, rel=1e-9)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    trials, n, truth = 400, 20, 0.3
    hits = 0
    for trial in range(trials):
        found = paired_interval(
            rng.exponential(1.0, n) - 1.0 + truth, range(n), resamples=1_000, seed=trial
        )
        hits += found.low <= truth <= found.high
    # Skewed differences and only 20 of them: nominal 95%; the exact binomial 99.9% range of a
    # true 93% in 400 trials is 88.3% to 96.8%.
    assert 0.88 <= hits / trials <= 0.985


def test_power_by_hand() -> None:
    # effect 2.8 standard errors away, large sample: P(Z > 1.96 - 2.8) = 0.80.
    assert power_of_interval(0.28, 0.1, level=0.05, n_clusters=10_000) == pytest.approx(
        0.80, abs=0.005
    )
    assert power_of_interval(0.1, 0.0, level=0.05, n_clusters=5) == 1.0


@pytest.mark.parametrize(
    ("differences", "clusters", "message"),
    [
        ([0.1], ["a"], "two clusters"),
        ([0.1, 0.2], ["a", "a"], "two clusters"),
        ([0.1, float("nan")], ["a", "b"], "finite"),
        ([0.1], ["a", "b"], "length"),
    ],
)
def test_no_interval_out_of_nothing(
    differences: list[float], clusters: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        paired_interval(differences, clusters)
