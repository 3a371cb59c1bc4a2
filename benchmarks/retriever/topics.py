"""Who is given guidelines on unsafe topics: by the engine, and by one threshold for any topic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks._harness.report import Figure
from benchmarks.retriever.inputs import Library, load_library
from benchmarks.retriever.quality import train
from guidealign.guidance import (
    Found,
    Live,
    Snapshot,
    Texts,
    asked_of_turns,
    find_all,
    proposed_policy,
)
from guidealign.rates import wilson_interval
from guidealign.records import RISK_CATEGORIES, Release
from guidealign.retriever import ServingEncoder, kind_of
from guidealign.retriever.serve import SERVING_FOLDER
from guidealign.retriever.serving_form import build_serving

_KINDS = {
    "unsafe": "unsafe inputs",
    "lookalike": "benign look-alikes",
    "ordinary": "everyday inputs",
}


def measure_topics(server_url: str, full: bool) -> list[Figure]:
    """The held-out inputs of the starter library, on which the thresholds were chosen as well."""
    del full
    library = load_library(server_url)
    with TemporaryDirectory(prefix="bench-topics-") as folder:
        package = Path(folder)
        build_serving(train(library, 13), library.split, library.guidelines, package)
        live = _live(library, ServingEncoder(package / SERVING_FOLDER))
        policy = live.release.policy
        asked = [asked_of_turns([item.text], policy) for item in library.split.test]
        found = find_all(live, [one for one in asked if one is not None])
    cosine = live.thresholds.cosine
    rules: dict[str, Callable[[Found], bool]] = {
        f"the engine ({live.thresholds.rule})": _by_engine,
        "one cosine for the best guideline of any topic": lambda one: _by_any_topic(
            one, policy.k, cosine
        ),
    }
    return [
        _figure(library, found, kind, name, rule) for kind in _KINDS for name, rule in rules.items()
    ]


def _by_engine(found: Found) -> bool:
    return any(g.category in RISK_CATEGORIES for g in found.guidelines)


def _by_any_topic(found: Found, k: int, threshold: float | None) -> bool:
    nearest = found.nearest[:k]
    if threshold is not None and (not nearest or nearest[0].score < threshold):
        return False
    return any(g.category in RISK_CATEGORIES for g in nearest)


def _live(library: Library, encoder: ServingEncoder) -> Live:
    guidelines = library.guidelines
    snapshot = Snapshot(
        release=Release(
            release_id=0,
            library_version=0,
            retriever_version=1,
            labrador_version=0,
            policy_version=0,
            policy=proposed_policy(library.settings),
        ),
        guidelines=Texts(
            ids=np.asarray(library.ids),
            titles=tuple("" for _ in library.ids),
            texts=tuple(guidelines.texts[i] for i in library.ids),
            categories=tuple(guidelines.categories[i] for i in library.ids),
        ),
        vectors=encoder.encode([guidelines.texts[i] for i in library.ids], side="guideline"),
        in_memory=True,
    )
    return Live(snapshot=snapshot, encoder=encoder)


def _figure(
    library: Library,
    found: list[Found],
    kind: str,
    name: str,
    rule: Callable[[Found], bool],
) -> Figure:
    given = [
        rule(one)
        for item, one in zip(library.split.test, found, strict=True)
        if kind_of(item) == kind
    ]
    low, high = wilson_interval(sum(given), len(given))
    return Figure(
        figure=f"topics: {_KINDS[kind]} given an unsafe-topic guideline by {name}",
        value=sum(given) / len(given),
        unit="share",
        n=len(given),
        note=f"[{low:.3f}, {high:.3f}]; k = {proposed_policy(library.settings).k}; one training,"
        " held-out inputs, on which the thresholds were chosen",
    )
