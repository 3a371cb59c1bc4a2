"""Which of the guidelines that were found are given: the same for requests and replays."""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz import fuzz

from guidealign.ingest import fold_text
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


def keep_distinct(
    candidates: Sequence[RetrievedGuideline], bounds: RetrievalSettings
) -> list[RetrievedGuideline]:
    """The first k candidates of which none is a near-duplicate of an earlier kept one.

    By edit similarity of the texts, as the paper's code has it.
    """
    kept: list[RetrievedGuideline] = []
    texts: list[str] = []
    for candidate in candidates:
        if len(kept) == bounds.k:
            break
        text = fold_text(candidate.text)
        cutoff = 100 * bounds.near_duplicate_threshold
        if all(fuzz.ratio(text, other, score_cutoff=cutoff) < cutoff for other in texts):
            kept.append(candidate)
            texts.append(text)
    return kept
