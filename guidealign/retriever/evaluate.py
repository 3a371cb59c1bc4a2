"""Retrieval metrics on held-out inputs, case by case."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guidealign.records import (
    RETRIEVER_MODEL,
    UNTRAINED_VERSION,
    CaseScore,
    EvaluationRun,
    Unscored,
)
from guidealign.registry import Registry
from guidealign.retriever.metrics import ndcg_at, rank_ids, recall_at, reciprocal_rank
from guidealign.retriever.model import GuidelineSet, LabelledInput, Split
from guidealign.retriever.serve import load_serving_encoder
from guidealign.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

METRIC = "recall_at_6"
BM25_MODEL = "bm25"
_CUTOFFS = (1, 6, 20)
_METRIC_VERSION = "retrieval-1"
HeldOut = tuple[Split, GuidelineSet]
"""As `load_split` gives it: the inputs of a library version, and its guidelines."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """What one retriever finds for the held-out inputs of a library version."""

    model_name: str
    version: int
    split: Split
    guidelines: GuidelineSet
    orders: Sequence[Sequence[int]]
    """Guidelines by id, best first, for each test input."""
    queries: NDArray[np.float32] | None = None
    """Of the test inputs, (n, dimensions); None: it has no vectors."""
    documents: NDArray[np.float32] | None = None
    """Of the guidelines by ascending id, (guidelines, dimensions)."""
    risks: NDArray[np.float32] | None = None
    """Probability that a test input is unsafe, (n,); None: not calibrated."""

    def run(self) -> EvaluationRun:
        """Scored: a case's value is its recall@6."""
        return _as_run(self)


def rank_held_out(
    version: int, held_out: HeldOut, *, settings: Settings, registry: Registry
) -> Ranking:
    """A version (0: untrained) on held-out inputs; candidates are all guidelines there."""
    split, guidelines = held_out
    ids = sorted(guidelines.texts)
    encoder = load_serving_encoder(version, settings=settings, registry=registry)
    probe = encoder.thresholds.probe
    queries = encoder.encode([item.text for item in split.test], side="input")
    documents = encoder.encode([guidelines.texts[i] for i in ids], side="guideline")
    return Ranking(
        model_name=RETRIEVER_MODEL,
        version=version,
        split=split,
        guidelines=guidelines,
        orders=rank_ids(queries @ documents.T, ids),
        queries=queries,
        documents=documents,
        risks=None if probe is None else probe.risk(queries),
    )


def rank_with_bm25(held_out: HeldOut) -> Ranking:
    """The same benchmark for BM25, which learns nothing: the bar that words set."""
    split, guidelines = held_out
    ids = sorted(guidelines.texts)
    scores = bm25_scores([item.text for item in split.test], [guidelines.texts[i] for i in ids])
    return Ranking(
        model_name=BM25_MODEL,
        version=UNTRAINED_VERSION,
        split=split,
        guidelines=guidelines,
        orders=rank_ids(scores, ids),
    )


def bm25_scores(queries: Sequence[str], documents: Sequence[str]) -> NDArray[np.floating]:
    """BM25 of each query with each document, (queries, documents), without stop words."""
    import bm25s
    import numpy as np

    index = bm25s.BM25()
    corpus = bm25s.tokenize(list(documents), stopwords="en", show_progress=False)
    index.index(corpus, show_progress=False)
    tokens = bm25s.tokenize(list(queries), stopwords="en", show_progress=False, return_ids=False)
    return np.stack([index.get_scores(query) for query in tokens]) if tokens else np.zeros((0, 0))


def _as_run(ranking: Ranking) -> EvaluationRun:
    guidelines = ranking.guidelines.texts
    scores: list[CaseScore] = []
    unscored: list[Unscored] = []
    summary: dict[str, list[float]] = {}
    for item, order in zip(ranking.split.test, ranking.orders, strict=True):
        relevant = set(item.guideline_ids) & guidelines.keys()
        if not relevant:
            unscored.append(_unscored(item, "none of its guidelines is in the library"))
            continue
        figures = _figures(order, relevant)
        for name, value in figures.items():
            summary.setdefault(name, []).append(value)
        scores.append(
            CaseScore(
                case_id=case_of(item),
                category=item.category,
                kind="retrieval",
                value=figures[METRIC],
                cluster=str(item.cluster),
            )
        )
    return EvaluationRun(
        model_name=ranking.model_name,
        version=ranking.version,
        benchmark="library-held-out",
        metric=METRIC,
        evaluator=_fingerprint(ranking.split, guidelines),
        scores=tuple(scores),
        unscored=tuple(unscored),
        summary={name: math.fsum(values) / len(values) for name, values in summary.items()},
    )


def _figures(order: Sequence[int], relevant: set[int]) -> dict[str, float]:
    figures = {f"recall_at_{k}": recall_at(order, relevant, k) for k in _CUTOFFS}
    return figures | {
        "mrr": reciprocal_rank(order, relevant),
        "ndcg_at_10": ndcg_at(order, relevant, 10),
    }


def case_of(item: LabelledInput) -> str:
    """An input's name as a case."""
    return f"input-{item.input_id}"


def _unscored(item: LabelledInput, reason: str) -> Unscored:
    return Unscored(case_id=case_of(item), category=item.category, kind="retrieval", reason=reason)


def _fingerprint(split: Split, guidelines: Mapping[int, str]) -> str:
    """Of queries, answers and candidates: runs on other ones never compare."""
    digest = hashlib.sha256()
    for item in split.test:
        digest.update(f"{item.text}\x00{item.guideline_ids}\x01".encode())
    for guideline_id in sorted(guidelines):
        digest.update(f"{guideline_id}\x00{guidelines[guideline_id]}\x01".encode())
    return f"{_METRIC_VERSION}:{digest.hexdigest()[:16]}"
