"""What a training learns from: guidelines that say the same, and what is held out to stop by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from guidealign.retriever.model import LabelledInput
from guidealign.retriever.pairs import hold_out_dev
from guidealign.retriever.training_data import TrainingData, find_equivalents


def _input(number: int, guidelines: tuple[int, ...], cluster: int) -> LabelledInput:
    return LabelledInput(number, f"input {number}", guidelines, "Insult", True, "chat", cluster)


def _at(*angles: float) -> NDArray[np.float32]:
    """Unit vectors in the plane, at so many degrees."""
    radians = np.radians(angles)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def test_what_says_the_same_by_hand() -> None:
    # A cosine of 0.9 is 25.8 degrees: 2 and 3 say what 1 says; 3 and 4 what 6 says.
    ids, documents = [1, 2, 3, 4, 5, 6], _at(10, 15, 30, 60, 100, 50)
    same = find_equivalents(documents, ids, {1, 6})
    assert same == {1: frozenset({2, 3}), 6: frozenset({3, 4})}
    data = TrainingData(inputs=(), guidelines={}, equivalents=same)
    assert data.right_for(_input(1, (1, 5), 1)) == {1, 2, 3, 5}


def test_dev_inputs_are_whole_clusters_and_stay_when_more_come() -> None:
    inputs = [_input(number, (1,), number // 2) for number in range(2_000)]
    learn, dev = hold_out_dev(inputs, share=0.1, seed=3)
    assert len(dev) == 200
    assert not {item.cluster for item in learn} & {item.cluster for item in dev}
    assert len(learn) + len(dev) == 2_000
    few = inputs[:400]
    # 40 would be held out, which say nothing.
    assert hold_out_dev(few, share=0.1, seed=3) == (tuple(few), ())
