"""Retrieval metrics worked by hand, the split, and the mask of false negatives."""

from __future__ import annotations

import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guidealign.library import PairRow
from guidealign.retriever.batches import TrainingPair, draw_pairs, false_negatives
from guidealign.retriever.fit import masked_loss
from guidealign.retriever.metrics import ndcg_at, recall_at, reciprocal_rank
from guidealign.retriever.pairs import group_inputs, split_inputs
from guidealign.retriever.training_data import TrainingData


def test_metrics_by_hand() -> None:
    ranked, relevant = [9, 4, 7, 1, 8], {4, 1, 99}
    assert recall_at(ranked, relevant, 1) == 0.0
    # 4 is found, and 3 could be: 1 of 3.
    assert recall_at(ranked, relevant, 3) == pytest.approx(1 / 3)
    # Only one can stand at the top, so finding it is all.
    assert recall_at([4, 9], relevant, 1) == 1.0
    assert reciprocal_rank(ranked, relevant) == 0.5
    assert reciprocal_rank(ranked, {5}) == 0.0
    # Gains at ranks 2 and 4 over the best at 1, 2 and 3: (0.6309 + 0.4307) / 2.1309.
    assert ndcg_at(ranked, relevant, 10) == pytest.approx(0.4982, abs=1e-4)


def _row(input_id: int, guideline_id: int, cluster: int, source: str = "starter") -> PairRow:
    category = ["Insult", "Physical_Harm"][cluster % 2]
    return PairRow(input_id, f"text {input_id}", guideline_id, category, False, source, cluster)


@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 9), st.integers(1, 25)), min_size=1),
    st.integers(0, 5),
)
def test_no_cluster_is_on_both_sides(rows: list[tuple[int, int, int]], seed: int) -> None:
    cluster_of = {input_id: cluster for input_id, _, cluster in rows}
    inputs = group_inputs([_row(i, g, cluster_of[i]) for i, g, _ in rows])
    split = split_inputs(inputs, test_share=0.3, seed=seed)
    assert not {i.cluster for i in split.train} & {i.cluster for i in split.test}
    assert sorted(i.input_id for i in split.train + split.test) == sorted(cluster_of)
    assert split == split_inputs(inputs, test_share=0.3, seed=seed)


def test_held_out_inputs_stay_held_out_when_the_library_grows() -> None:
    before = group_inputs([_row(i, 1, i) for i in range(1, 41)])
    after = group_inputs([_row(i, 1, i) for i in range(1, 41)] + [_row(99, 1, 99, "inbox")])
    small, large = (split_inputs(rows, test_share=0.25, seed=1) for rows in (before, after))
    assert {i.input_id for i in small.test} == {i.input_id for i in large.test}
    # What a small model wrote is learnt from, and is no measure.
    assert 99 in {i.input_id for i in large.train}


def test_other_guidelines_of_an_input_are_no_negatives() -> None:
    batch = [
        TrainingPair("a", 1, frozenset({1, 2})),
        TrainingPair("b", 2, frozenset({2})),
        TrainingPair("c", 3, frozenset({3})),
    ]
    # Guideline 2 is right for "a" too; guideline 1 is wrong for "b".
    assert false_negatives(batch) == [
        [False, True, False],
        [False, False, False],
        [False, False, False],
    ]


def test_loss_by_hand_and_what_the_mask_does() -> None:
    vectors = torch.eye(2)
    none = torch.zeros(2, 2, dtype=torch.bool)
    # Scores 1 on the diagonal, 0 off it: -log(e / (e + 1)).
    expected = -math.log(math.e / (math.e + 1))
    assert masked_loss(vectors, vectors, none, 1.0).item() == pytest.approx(expected, abs=1e-6)
    all_but_own = torch.tensor([[False, True], [True, False]])
    assert masked_loss(vectors, vectors, all_but_own, 1.0).item() == pytest.approx(0.0, abs=1e-6)


def test_each_input_is_drawn_once_an_epoch() -> None:
    inputs = group_inputs([_row(i, g, i) for i in range(1, 9) for g in (1, 2, 3)])
    pairs = draw_pairs(TrainingData(inputs=inputs, guidelines={}), random.Random(1))
    assert sorted(pair.text for pair in pairs) == sorted(item.text for item in inputs)
    assert {pair.guideline_id for pair in pairs} == {1, 2, 3}
