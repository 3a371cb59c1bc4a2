"""Runs requests under two releases: encodes in batches, compares in blocks, asks no model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from guidealign.db import current_release, guard_database
from guidealign.errors import BadInputError
from guidealign.guidance import (
    Blend,
    Candidate,
    Encoder,
    Live,
    Loader,
    Query,
    Snapshot,
    bounds_for,
    choose,
    count_unembedded,
    guideline_prompt,
    guidelines,
    overlay,
    require_candidate,
)
from guidealign.library import latest_version
from guidealign.records import RETRIEVER_MODEL, Release
from guidealign.registry import Registry
from guidealign.replay import compare
from guidealign.replay.model import Choice, GuidelineWords, Replay, Requests, Side
from guidealign.retriever import embed_library
from guidealign.serving import estimate_tokens, within_budget
from guidealign.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Report = Callable[[str, int, int | None], object]
"""Told a phase, how much of it is done, and how much there is."""
_ENCODED_AT_ONCE = 256
_SCORES_AT_ONCE = 8_000_000
"""Of requests times guidelines: 32 MB."""
_EXAMPLES = 20
_CHALLENGER = "challenger"


def default_candidate(*, engine: Engine, registry: Registry | None) -> Candidate:
    """The newest library with the challenger among retrievers, or the live one without.

    Raises:
        BadInputError: nothing is live.
        ServiceUnavailableError: the database or the registry does not answer.
    """
    live = _live_release(engine)
    challenger = None
    if registry is not None:
        challenger = registry.alias_version(RETRIEVER_MODEL, _CHALLENGER)
    return Candidate(
        library_version=latest_version(engine),
        retriever_version=live.retriever_version if challenger is None else challenger,
    )


def prepare_candidate(
    candidate: Candidate, *, engine: Engine, settings: Settings, registry: Registry
) -> Release:
    """Embeds what the candidate's retriever has not embedded yet; returns what is live.

    Vectors that are live are left alone.

    Raises:
        BadInputError: it is live already, or cannot be served.
        ServiceUnavailableError: the database or the registry does not answer.
    """
    library, retriever = candidate.library_version, candidate.retriever_version
    with guard_database(), engine.connect() as connection:
        missing = count_unembedded(connection, library=library, retriever=retriever)
    if missing and library == latest_version(engine):
        embed_library(retriever, engine=engine, settings=settings, registry=registry)
    with guard_database(), engine.connect() as connection:
        return require_candidate(connection, candidate)


def run_replay(
    requests: Requests,
    candidate: Candidate,
    *,
    engine: Engine,
    settings: Settings,
    load: Loader,
    report: Report | None = None,
) -> Replay:
    """What each request would get under what is live and under a candidate.

    Both libraries are compared as a whole, in memory, so what a search index leaves out while
    serving is not left out here.

    Args:
        requests: of the past.
        candidate: embedded as a whole.
        engine: of the guidealign database.
        settings: bounds of the retrieval, as the gateway has them.
        load: the encoder of a retriever version.
        report: is told of the progress.

    Raises:
        BadInputError: nothing is live.
        ServiceUnavailableError: the database or the registry does not answer.
    """
    begun = time.monotonic()
    release = _live_release(engine)
    runner = _Runner([r.query for r in requests.rows], engine, settings, load, report or _no_report)
    live = runner.side("live", release)
    other = replace(
        release,
        library_version=candidate.library_version,
        retriever_version=candidate.retriever_version,
    )
    after = runner.side("candidate", other)
    return Replay(
        source=requests.source,
        live=release,
        library_version=candidate.library_version,
        retriever_version=candidate.retriever_version,
        figures=compare.figures(requests.rows, live, after, live_release_id=release.release_id),
        examples=compare.examples(requests.rows, live, after, n=_EXAMPLES),
        seconds=time.monotonic() - begun,
    )


def _no_report(_phase: str, _done: int, _total: int | None) -> None:
    return None


def _live_release(engine: Engine) -> Release:
    release = current_release(engine)
    if release is None:
        raise BadInputError("nothing was ever released: run a cycle, or adopt a library")
    return release


@dataclass
class _Runner:
    """The same queries for one release after the other; what two share is encoded once."""

    queries: list[Query]
    engine: Engine
    settings: Settings
    load: Loader
    report: Report

    def __post_init__(self) -> None:
        self._vectors: dict[int, dict[str, NDArray[np.float32]]] = {}

    def side(self, name: str, release: Release) -> Side:
        """What a release has for each query."""
        live = self._loaded(name, release)
        vectors = self._encoded(name, live)
        texts = live.snapshot.guidelines
        words = {
            int(one): GuidelineWords(title=title, category=category)
            for one, title, category in zip(texts.ids, texts.titles, texts.categories, strict=True)
        }
        choices: list[Choice] = []
        phase = f"{name}: search"
        for choice in self._choices(live, vectors):
            choices.append(choice)
            if not len(choices) % 100 or len(choices) == len(self.queries):
                self.report(phase, len(choices), len(self.queries))
        return Side(
            library_version=release.library_version,
            retriever_version=release.retriever_version,
            n_guidelines=len(texts.ids),
            choices=tuple(choices),
            words=words,
        )

    def _loaded(self, name: str, release: Release) -> Live:
        self.report(f"{name}: load", 0, 1)
        texts, vectors = guidelines(self.engine, release)
        decided = overlay(self.engine, release.library_version)
        snapshot = Snapshot(
            release=release, guidelines=texts, vectors=vectors, in_memory=True, overlay=decided
        )
        encoder = self.load(release.retriever_version)
        self.report(f"{name}: load", 1, 1)
        return Live(
            snapshot=snapshot, encoder=encoder, threshold=getattr(encoder, "threshold", None)
        )

    def _encoded(self, name: str, live: Live) -> Mapping[str, NDArray[np.float32]]:
        version = live.snapshot.release.retriever_version
        if version not in self._vectors:
            self._vectors[version] = dict(self._encode(name, live.encoder))
        return self._vectors[version]

    def _encode(self, name: str, encoder: Encoder) -> Iterator[tuple[str, Any]]:
        """Each text once, short ones first: what is encoded together is padded little."""
        texts = {text for query in self.queries for text in query.windows}
        texts |= {query.context for query in self.queries if query.context is not None}
        ordered = sorted(texts, key=lambda text: (len(text), text))
        for start in range(0, len(ordered), _ENCODED_AT_ONCE):
            part = ordered[start : start + _ENCODED_AT_ONCE]
            yield from zip(part, encoder.encode(part, side="input"), strict=True)
            self.report(f"{name}: encode", start + len(part), len(ordered))

    def _choices(self, live: Live, vectors: Mapping[str, NDArray[np.float32]]) -> Iterator[Choice]:
        import numpy as np

        serve, snapshot = self.settings.serve, live.snapshot
        blend = Blend(topic_cosine=serve.topic_cosine, weight=serve.context_weight)
        block = max(1, _SCORES_AT_ONCE // max(1, len(snapshot.guidelines.ids)))
        for start in range(0, len(self.queries), block):
            compared = [
                blend.vectors(
                    query,
                    np.stack([vectors[window] for window in query.windows]),
                    None if query.context is None else vectors[query.context],
                )
                for query in self.queries[start : start + block]
            ]
            scores = snapshot.scores(np.concatenate(compared))
            first = 0
            for one in compared:
                yield self._choice(live, scores[first : first + len(one)].max(axis=0))
                first += len(one)

    def _choice(self, live: Live, scores: NDArray[np.float32]) -> Choice:
        bounds = bounds_for(self.settings.retrieval, None)
        candidates = live.snapshot.best(scores, k=bounds.n_candidates)
        nearest, reason = choose(candidates, bounds, live.threshold)
        kept = [] if reason else within_budget(nearest, self.settings.serve.guideline_tokens)
        return Choice(
            guideline_ids=tuple(guideline.guideline_id for guideline in kept),
            scores=tuple(guideline.score for guideline in kept),
            tokens=estimate_tokens(guideline_prompt(kept)) if kept else 0,
            nearest=nearest[0].score if nearest else 0.0,
        )
