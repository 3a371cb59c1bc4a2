"""Retrieval metrics of one ranking, and rankings from scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from guidealign.retriever.model import LabelledInput


def recall_at(ranked: Sequence[int], relevant: set[int], k: int) -> float:
    """Share of the relevant ones among the first k, of as many as could be there."""
    return len(set(ranked[:k]) & relevant) / min(k, len(relevant))


def reciprocal_rank(ranked: Sequence[int], relevant: set[int]) -> float:
    """One over the rank of the first relevant one; 0 when none is ranked."""
    return next((1 / rank for rank, item in enumerate(ranked, start=1) if item in relevant), 0.0)


def ndcg_at(ranked: Sequence[int], relevant: set[int], k: int) -> float:
    """Normalised discounted cumulative gain with binary relevance, in [0, 1]."""
    gain = sum(1 / math.log2(r + 1) for r, item in enumerate(ranked[:k], 1) if item in relevant)
    best = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(relevant)) + 1))
    return gain / best


def rank_ids(scores: NDArray[np.floating], ids: Sequence[int]) -> list[list[int]]:
    """Ids by falling score, a list a row; equal scores by id, so the order is always the same."""
    import numpy as np

    return [[ids[i] for i in np.argsort(-row, kind="stable")] for row in scores]


def mean_recall(
    scores: NDArray[np.floating], ids: Sequence[int], inputs: Sequence[LabelledInput], k: int
) -> float:
    """Mean recall@k of the inputs that have a right answer among `ids`, in [0, 1]; 0 if none has.

    Args:
        scores: of each input's guidelines, (inputs, guidelines).
        ids: of the guidelines, in the order of the columns.
        inputs: in the order of the rows.
        k: how many are looked at.
    """
    shares = [
        recall_at(order, relevant, k)
        for order, item in zip(rank_ids(scores, ids), inputs, strict=True)
        if (relevant := set(item.guideline_ids) & set(ids))
    ]
    return math.fsum(shares) / len(shares) if shares else 0.0
