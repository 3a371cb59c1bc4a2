"""Which of the guidelines that were found are given: the same for requests and replays."""

from __future__ import annotations

from collections.abc import Sequence

from guidealign.alignment import keep_distinct
from guidealign.records import RetrievedGuideline
from guidealign.settings import RetrievalSettings


def bounds_for(retrieval: RetrievalSettings, k: int | None) -> RetrievalSettings:
    """The settings of a retrieval that asks for k guidelines; None: as set."""
    if k is None:
        return retrieval
    return retrieval.model_copy(update={"k": k, "n_candidates": max(k, retrieval.n_candidates)})


def choose(
    candidates: Sequence[RetrievedGuideline], bounds: RetrievalSettings, threshold: float | None
) -> tuple[tuple[RetrievedGuideline, ...], str | None]:
    """The distinct ones among candidates, and why none of them is to be given (None: they are).

    Args:
        candidates: nearest first.
        bounds: of the retrieval.
        threshold: cosine below which nothing fits; None: not calibrated.
    """
    kept = tuple(keep_distinct(candidates, bounds))
    if not kept:
        return kept, "none-in-risks"
    if threshold is not None and kept[0].score < threshold:
        return kept, "below-threshold"
    return kept, None
