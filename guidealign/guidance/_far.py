"""Searching a release in Postgres, where its vectors are not in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from guidealign.guidance.finder import Live
from guidealign.library import SearchOptions, search_vectors
from guidealign.records import RetrievedGuideline

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def search_far(
    engine: Engine,
    live: Live,
    vectors: NDArray[np.float32],
    k: int,
    categories: Sequence[str] | None,
) -> list[RetrievedGuideline]:
    """The k guidelines of a release that are nearest to any of the vectors (m, dimensions).

    Raises:
        ServiceUnavailableError: the database does not answer.
    """
    release = live.release
    options = SearchOptions(library_version=release.library_version, categories=categories)
    found = search_vectors(
        vectors,
        engine=engine,
        retriever_version=release.retriever_version,
        k=k,
        options=options,
    )
    return _merged(found, k)


def _merged(found: Sequence[Sequence[RetrievedGuideline]], k: int) -> list[RetrievedGuideline]:
    """The k best of several lists, each guideline by its highest score."""
    if len(found) == 1:
        return list(found[0])
    best: dict[int, RetrievedGuideline] = {}
    for guideline in (g for one in found for g in one):
        known = best.get(guideline.guideline_id)
        if known is None or guideline.score > known.score:
            best[guideline.guideline_id] = guideline
    order = sorted(best.values(), key=lambda g: (-g.score, g.guideline_id))[:k]
    return [replace(g, rank=rank) for rank, g in enumerate(order, start=1)]
