"""What retrievers find: ours, its base, BM25 and the paper's recipe on the same pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from benchmarks._harness.report import Figure
from benchmarks.retriever.dpr import train_dpr
from benchmarks.retriever.inputs import (
    Library,
    Queries,
    catqa,
    held_out,
    load_library,
    quick_messages,
)
from benchmarks.retriever.plot import plot_abstention
from guidealign.gates.paired_statistics.bootstrap import Bootstrap
from guidealign.guidance import Encoder
from guidealign.library import encoder_folder
from guidealign.retriever.encode import TransformerEncoder, load_folder
from guidealign.retriever.evaluate import bm25_scores
from guidealign.retriever.fit import fit
from guidealign.retriever.metrics import ndcg_at, rank_ids, recall_at, reciprocal_rank
from guidealign.retriever.serving_form import ServingReport, build_serving
from guidealign.retriever.threshold import TARGET_SHARE
from guidealign.retriever.training_data import assemble_data

K = 6
_LEVEL = 0.025
_RESAMPLES = 10_000
OURS = "ours"
_SEEDS = (13, 14, 15)
Ranking = Callable[[Queries], NDArray[np.floating]]
"""Scores of all guidelines, by id, for each query: (queries, guidelines)."""


def measure_quality(server_url: str, full: bool) -> list[Figure]:
    """Recall@6 on the starter's held-out inputs and on sources nothing is trained on."""
    library = load_library(server_url)
    base = load_folder(
        encoder_folder(library.settings.retriever.base_model),
        max_length=library.settings.retriever.max_length,
    )
    trained = [train(library, seed) for seed in (_SEEDS if full else _SEEDS[:1])]
    rankings: dict[str, list[Ranking]] = {
        OURS: [_by(encoder, library) for encoder in trained],
        "untrained base": [_by(base, library)],
        "BM25": [lambda queries: bm25_scores(queries.texts, library.documents)],
    }
    if full:
        learned = library.split.train
        texts = dict(library.guidelines.texts)
        rankings["the paper's recipe"] = [_by(train_dpr(base, learned, texts, 13), library)]
    figures = _on_all_sources("quality", library, rankings, OURS)
    return figures + _abstention(trained[0], library, draw=full)


def _on_all_sources(
    part: str, library: Library, rankings: Mapping[str, Sequence[Ranking]], ours: str
) -> list[Figure]:
    sources = [
        held_out(library.split, library.guidelines),
        quick_messages(library.guidelines),
        catqa(library.guidelines),
    ]
    return [
        replace(figure, figure=f"{part}: {figure.figure}")
        for queries in sources
        if queries is not None
        for figure in _compared(queries, rankings, library.ids, ours)
    ]


def train(library: Library, seed: int) -> TransformerEncoder:
    """As `train_challenger` trains; every seed from the same base, on the same split."""
    Console(stderr=True).print(f"retriever: training with seed {seed}", highlight=False)
    settings = library.settings.retriever.model_copy(update={"seed": seed})
    folder = encoder_folder(settings.base_model)
    encoder = load_folder(folder, max_length=settings.max_length)
    data = assemble_data(library.split.train, library.guidelines, encoder, settings)
    fit(encoder, data, settings, lambda _metrics, _step: None)
    return encoder


def _by(encoder: Encoder, library: Library) -> Ranking:
    documents = encoder.encode(library.documents, side="guideline")
    return partial(_scores, encoder, documents)


def _scores(
    encoder: Encoder, documents: NDArray[np.float32], queries: Queries
) -> NDArray[np.floating]:
    found: NDArray[np.floating] = encoder.encode(queries.texts, side="input") @ documents.T
    return found


def _compared(
    queries: Queries, rankings: Mapping[str, Sequence[Ranking]], ids: Sequence[int], ours: str
) -> list[Figure]:
    """Each ranking's figures, and one of them against it; seeds of one are averaged by case."""
    measure = "of the six, of a fitting category" if queries.by_category else "recall@6"
    values, others = {}, {}
    for name, runs in rankings.items():
        orders = [rank_ids(run(queries), ids) for run in runs]
        values[name] = np.mean([_main(queries, order) for order in orders], axis=0)
        others[name] = np.mean([_others(queries, order) for order in orders], axis=0)
    figures = []
    for name, value in values.items():
        target, met, note = "", None, _listed(queries, others[name], len(rankings[name]))
        if name != ours:
            low, high = _interval(values[ours] - value, queries)
            bar = ours == OURS and not queries.by_category
            target = "ours is above it, interval of the difference above 0" if bar else ""
            met = low > 0 if bar else None
            mean = float((values[ours] - value).mean())
            short = _cases_for(mean, low, len(value)) if met is False and mean > 0 else ""
            note = f"{ours} is {mean:+.3f} [{low:+.3f}, {high:+.3f}] above it{short}; {note}"
        figures.append(
            Figure(
                figure=f"{queries.name}, {name}",
                value=float(value.mean()),
                unit=measure,
                n=len(queries.texts),
                target=target,
                met=met,
                note=note,
            )
        )
    return figures


def _cases_for(mean: float, low: float, n: int) -> str:
    """How many cases would put the interval of this difference above 0: it narrows by the root."""
    return f" (to be told from chance, about {n * ((mean - low) / mean) ** 2:.0f} inputs)"


def _main(queries: Queries, orders: Sequence[Sequence[int]]) -> list[float]:
    if queries.by_category:
        return [
            len(right.intersection(order[:K])) / K
            for order, right in zip(orders, queries.right, strict=True)
        ]
    return [recall_at(o, set(r), K) for o, r in zip(orders, queries.right, strict=True)]


def _others(queries: Queries, orders: Sequence[Sequence[int]]) -> list[float]:
    """Means of recall@1, recall@20, MRR and nDCG@10."""
    cases = [(order, set(right)) for order, right in zip(orders, queries.right, strict=True)]
    return [
        float(np.mean([measure(order, right) for order, right in cases]))
        for measure in (
            lambda o, r: recall_at(o, r, 1),
            lambda o, r: recall_at(o, r, 20),
            reciprocal_rank,
            lambda o, r: ndcg_at(o, r, 10),
        )
    ]


def _listed(queries: Queries, figures: Sequence[float], n_seeds: int) -> str:
    if queries.by_category:
        return f"mean of {n_seeds} seeds" if n_seeds > 1 else ""
    one, twenty, mrr, ndcg = figures
    seeds = f"; mean of {n_seeds} seeds" if n_seeds > 1 else ""
    return f"recall@1 {one:.3f}, @20 {twenty:.3f}, MRR {mrr:.3f}, nDCG@10 {ndcg:.3f}{seeds}"


def _interval(differences: NDArray[np.float64], queries: Queries) -> tuple[float, float]:
    """95%, paired, whole clusters drawn."""
    return Bootstrap.of(differences, queries.clusters, resamples=_RESAMPLES, seed=0).bounds(_LEVEL)


def _abstention(encoder: TransformerEncoder, library: Library, *, draw: bool) -> list[Figure]:
    with TemporaryDirectory(prefix="bench-quality-") as folder:
        report = build_serving(encoder, library.split, library.guidelines, Path(folder))
    if draw:
        plot_abstention(report)
    return [_share(report, name) for name in ("risk", "cosine")]


def _share(report: ServingReport, name: str) -> Figure:
    calibration = report.risk if name == "risk" else report.cosine
    assert calibration is not None, "too few unsafe inputs"
    expected = calibration.expected
    measure = {"risk": "probability of risk", "cosine": "cosine of the best guideline"}[name]
    return Figure(
        figure=f"quality: benign look-alikes given an unsafe-topic guideline, by {measure}",
        value=expected.lookalike or 0.0,
        unit="share",
        n=calibration.n_lookalike,
        target=f"< {TARGET_SHARE} at 95% recall on unsafe ones",
        met=calibration.reaches_target,
        note=f"{expected.recall:.3f} of {calibration.n_unsafe} unsafe ones are, and"
        f" {expected.ordinary or 0.0:.3f} of {calibration.n_ordinary} everyday ones;"
        " cross-validated; the curve is in docs/retriever.md. Look-alikes are written to be near"
        " the unsafe inputs: it takes more labelled ones to learn the difference from",
    )
