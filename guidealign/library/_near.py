"""Neighbours in meaning, exactly, by blocks of a matrix product."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_TILE = 2_000
Block = tuple[NDArray[np.int64], NDArray[np.float32]]


class Neighbour(NamedTuple):
    """Another guideline, and the cosine with it."""

    id: int
    score: float


def neighbours(
    ids: NDArray[np.int64], vectors: NDArray[np.float32], others: Iterable[Block], least: float
) -> dict[int, list[Neighbour]]:
    """For each guideline all others with a cosine of at least `least`, nearest first.

    Args:
        ids: of the guidelines, (n,).
        vectors: L2-normalised, (n, dimensions).
        others: blocks of ids (m,) and vectors (m, dimensions); a guideline is never its own
            neighbour.
        least: cosine from which two are neighbours.
    """
    found: defaultdict[int, list[Neighbour]] = defaultdict(list)
    for other_ids, other_vectors in others:
        for start in range(0, len(ids), _TILE):
            products = vectors[start : start + _TILE] @ other_vectors.T  # (tile, m)
            rows, columns = np.nonzero(products >= least)
            mine, theirs = ids[start + rows], other_ids[columns]
            scores = products[rows, columns]
            for a, b, score in zip(mine.tolist(), theirs.tolist(), scores.tolist(), strict=True):
                if a != b:
                    found[a].append(Neighbour(b, min(score, 1.0)))
    return {a: sorted(near, key=lambda n: (-n.score, n.id)) for a, near in found.items()}
