"""Hard negatives: near, wrong, and never what may be right."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from guidealign.retriever.model import LabelledInput
from guidealign.retriever.negatives import TrainingData, find_equivalents, mine_negatives
from guidealign.retriever.pairs import hold_out_dev


def _input(number: int, guidelines: tuple[int, ...], cluster: int) -> LabelledInput:
    return LabelledInput(number, f"input {number}", guidelines, "Insult", True, "chat", cluster)


def _at(*angles: float) -> NDArray[np.float32]:
    """Unit vectors in the plane, at so many degrees."""
    radians = np.radians(angles)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def test_by_hand() -> None:
    # Cosines to an input at 0 degrees: 1: .985, 2: .966, 3: .866, 4: .5, 5: -.174, 6: .643.
    ids, documents = [1, 2, 3, 4, 5, 6], _at(10, 15, 30, 60, 100, 50)
    inputs = [_input(1, (1,), 1), _input(2, (6,), 1)]
    same = find_equivalents(documents, ids, {1, 6})
    # Within 25.8 degrees: 2 and 3 say what 1 says; 3 and 4 what 6 says.
    assert same == {1: frozenset({2, 3}), 6: frozenset({3, 4})}
    data = TrainingData(inputs=inputs, guidelines={}, equivalents={1: frozenset({2})})
    found = mine_negatives(data, _at(0, 50), documents, ids, margin=0.95)
    # 1 is its own, 2 says the same, 6 belongs to a near copy of it; nothing else is too near.
    assert found[1] == (3, 4, 5)
    # At 50 degrees 4 and 3 have cosines of .985 and .940 of at most .95 * 1; 3 is what remains.
    assert found[2] == (3, 5)


def test_what_scores_nearly_as_high_as_the_right_ones_is_left_out() -> None:
    # Of an own guideline with .866, 95% are .823: .819 stays, .829 does not.
    ids, documents = [1, 2, 3], _at(30, -34, 35)
    data = TrainingData(inputs=[_input(1, (1,), 1)], guidelines={})
    assert mine_negatives(data, _at(0), documents, ids, margin=0.95)[1] == (3,)


@given(
    n_inputs=st.integers(1, 12),
    n_guidelines=st.integers(1, 30),
    margin=st.sampled_from([0.5, 0.8, 0.95, 1.0]),
    seed=st.integers(0, 1000),
)
def test_nothing_right_and_nothing_too_near_is_mined(
    n_inputs: int, n_guidelines: int, margin: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    ids = [int(i) for i in rng.permutation(1000)[:n_guidelines]]
    documents, queries = (
        rng.standard_normal((n, 8)).astype(np.float32) for n in (n_guidelines, n_inputs)
    )
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    inputs = [
        _input(
            number,
            tuple(int(i) for i in rng.choice(ids, size=rng.integers(1, 4))),
            int(rng.integers(1, 5)),
        )
        for number in range(n_inputs)
    ]
    used = {i for item in inputs for i in item.guideline_ids}
    data = TrainingData(
        inputs=inputs, guidelines={}, equivalents=find_equivalents(documents, ids, used)
    )
    scores = queries @ documents.T
    found = mine_negatives(data, queries, documents, ids, margin=margin)
    for row, item in enumerate(inputs):
        by_id = dict(zip(ids, scores[row], strict=True))
        mined = [by_id[i] for i in found[item.input_id]]
        right = {i for other in inputs if other.cluster == item.cluster
                 for i in data.right_for(other)}  # fmt: skip
        assert not right & set(found[item.input_id])
        assert mined == sorted(mined, reverse=True)
        assert len(mined) <= 8
        own = float(np.mean([by_id[i] for i in item.guideline_ids]))
        assert all(score <= margin * own + 1e-5 for score in mined)


def test_dev_inputs_are_whole_clusters_and_stay_when_more_come() -> None:
    inputs = [_input(number, (1,), number // 2) for number in range(2_000)]
    learn, dev = hold_out_dev(inputs, share=0.1, seed=3)
    assert len(dev) == 200
    assert not {item.cluster for item in learn} & {item.cluster for item in dev}
    assert len(learn) + len(dev) == 2_000
    few = inputs[:400]
    # 40 would be held out, which say nothing.
    assert hold_out_dev(few, share=0.1, seed=3) == (tuple(few), ())
