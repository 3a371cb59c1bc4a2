"""The default thresholds on the labelled pairs, with the real encoder.

Floors lie a little below what docs/curation.md reports, so that a change of rules that loses
something is seen here.
"""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks._harness.pairs import Measured, Pair, measure, read_pairs
from guidealign.library.curate import is_contradiction, is_duplicate
from guidealign.records import CATEGORIES
from guidealign.settings import LibrarySettings

BOUNDS = LibrarySettings()


@pytest.fixture(scope="module")
def measured() -> list[Measured]:
    return measure(read_pairs(), BOUNDS.embedding_model)


def _merged(m: Measured) -> bool:
    return is_duplicate(m.pair.left, m.pair.right, m.cosine, BOUNDS)


def _flagged(m: Measured) -> bool:
    return is_contradiction(m.pair.left, m.pair.right, m.cosine, BOUNDS)


def test_labels_cover_every_category_and_no_pair_comes_twice() -> None:
    pairs = read_pairs()
    labels = Counter(pair.label for pair in pairs)
    assert len(pairs) >= 360
    assert labels["duplicate"] >= 100
    assert labels["related"] >= 100
    assert min(labels["different"], labels["opposite"]) >= 60
    for label in ("duplicate", "related", "opposite"):
        assert {pair.category for pair in pairs if pair.label == label} == set(CATEGORIES)
    assert len({frozenset((pair.left, pair.right)) for pair in pairs}) == len(pairs)


def test_both_halves_hold_enough_and_share_no_left_side() -> None:
    halves: dict[bool, list[Pair]] = {True: [], False: []}
    for pair in read_pairs():
        halves[pair.chooses].append(pair)
    assert min(len(half) for half in halves.values()) >= 150
    assert not {p.left for p in halves[True]} & {p.left for p in halves[False]}


@pytest.mark.parametrize("chooses", [True, False], ids=["choosing half", "other half"])
def test_merges_are_right_and_find_a_fair_share(measured: list[Measured], chooses: bool) -> None:
    half = [m for m in measured if m.pair.chooses is chooses]
    labels = Counter(m.pair.label for m in half if _merged(m))
    assert labels["opposite"] == 0
    assert labels["duplicate"] / sum(labels.values()) >= 0.97
    assert labels["duplicate"] / sum(m.pair.label == "duplicate" for m in half) >= 0.38


def test_contradictions_are_flagged_and_little_else(measured: list[Measured]) -> None:
    totals = Counter(m.pair.label for m in measured)
    flagged = Counter(m.pair.label for m in measured if _flagged(m))
    assert flagged["opposite"] / totals["opposite"] >= 0.72
    assert flagged["duplicate"] / totals["duplicate"] <= 0.03
    assert flagged["related"] / totals["related"] <= 0.06
    assert flagged["different"] == 0


def test_nothing_is_merged_and_flagged_at_once(measured: list[Measured]) -> None:
    assert not [m.pair for m in measured if _merged(m) and _flagged(m)]
