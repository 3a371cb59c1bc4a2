"""Retrieval metrics on held-out inputs, case by case."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from guidealign.records import (
    RETRIEVER_MODEL,
    UNTRAINED_VERSION,
    CaseScore,
    EvaluationRun,
    Unscored,
)
from guidealign.registry import Registry
from guidealign.retriever.metrics import ndcg_at, rank_ids, recall_at, reciprocal_rank
from guidealign.retriever.model import LabelledInput, Split
from guidealign.retriever.serve import load_serving_encoder
from guidealign.retriever.train import load_split
from guidealign.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

METRIC = "recall_at_6"
BM25_MODEL = "bm25"
_CUTOFFS = (1, 6, 20)
_METRIC_VERSION = "retrieval-1"


def evaluate_retriever(
    version: int, *, engine: Engine, settings: Settings, registry: Registry, library_version: int
) -> EvaluationRun:
    """Scores a version (0: untrained) on the held-out inputs of a library version.

    Candidates are all guidelines of that version. A case's value is its recall@6.
    """
    split, guidelines = load_split(library_version, engine=engine, settings=settings)
    ids = sorted(guidelines.texts)
    encoder = load_serving_encoder(version, settings=settings, registry=registry)
    queries = encoder.encode([item.text for item in split.test], side="input")
    documents = encoder.encode([guidelines.texts[i] for i in ids], side="guideline")
    ranked = rank_ids(queries @ documents.T, ids)
    return _as_run(RETRIEVER_MODEL, version, split, guidelines.texts, ranked)


def evaluate_bm25(*, engine: Engine, settings: Settings, library_version: int) -> EvaluationRun:
    """The same benchmark for BM25, which learns nothing: the bar that words set."""
    split, guidelines = load_split(library_version, engine=engine, settings=settings)
    ids = sorted(guidelines.texts)
    scores = bm25_scores([item.text for item in split.test], [guidelines.texts[i] for i in ids])
    return _as_run(BM25_MODEL, UNTRAINED_VERSION, split, guidelines.texts, rank_ids(scores, ids))


def bm25_scores(queries: Sequence[str], documents: Sequence[str]) -> NDArray[np.floating]:
    """BM25 of each query with each document, (queries, documents), without stop words."""
    import bm25s
    import numpy as np

    index = bm25s.BM25()
    corpus = bm25s.tokenize(list(documents), stopwords="en", show_progress=False)
    index.index(corpus, show_progress=False)
    tokens = bm25s.tokenize(list(queries), stopwords="en", show_progress=False, return_ids=False)
    return np.stack([index.get_scores(query) for query in tokens]) if tokens else np.zeros((0, 0))


def _as_run(
    model_name: str,
    version: int,
    split: Split,
    guidelines: Mapping[int, str],
    ranked: Sequence[Sequence[int]],
) -> EvaluationRun:
    scores: list[CaseScore] = []
    unscored: list[Unscored] = []
    summary: dict[str, list[float]] = {}
    for item, order in zip(split.test, ranked, strict=True):
        relevant = set(item.guideline_ids) & guidelines.keys()
        if not relevant:
            unscored.append(_unscored(item, "none of its guidelines is in the library"))
            continue
        figures = _figures(order, relevant)
        for name, value in figures.items():
            summary.setdefault(name, []).append(value)
        scores.append(
            CaseScore(
                case_id=f"input-{item.input_id}",
                category=item.category,
                kind="retrieval",
                value=figures[METRIC],
                cluster=str(item.cluster),
            )
        )
    return EvaluationRun(
        model_name=model_name,
        version=version,
        benchmark="library-held-out",
        metric=METRIC,
        evaluator=_fingerprint(split, guidelines),
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


def _unscored(item: LabelledInput, reason: str) -> Unscored:
    return Unscored(
        case_id=f"input-{item.input_id}", category=item.category, kind="retrieval", reason=reason
    )


def _fingerprint(split: Split, guidelines: Mapping[int, str]) -> str:
    """Of queries, answers and candidates: runs on other ones never compare."""
    digest = hashlib.sha256()
    for item in split.test:
        digest.update(f"{item.text}\x00{item.guideline_ids}\x01".encode())
    for guideline_id in sorted(guidelines):
        digest.update(f"{guideline_id}\x00{guidelines[guideline_id]}\x01".encode())
    return f"{_METRIC_VERSION}:{digest.hexdigest()[:16]}"
