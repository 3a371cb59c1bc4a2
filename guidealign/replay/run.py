"""Runs requests under two releases: encodes in batches, compares in blocks, asks no model."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from guidealign.db import current_release, guard_database
from guidealign.errors import BadInputError
from guidealign.guidance import (
    CalibratedEncoder,
    Candidate,
    Found,
    Loader,
    ReleaseGuidance,
    TopicThresholds,
    candidate_release,
    count_unembedded,
    estimate_tokens,
    guideline_prompt,
    require_candidate,
)
from guidealign.guidance import Side as EncoderSide
from guidealign.library import latest_version
from guidealign.records import RETRIEVER_MODEL, Release
from guidealign.registry import Registry
from guidealign.replay import compare
from guidealign.replay.model import Choice, GuidelineWords, Replay, Requests, Side
from guidealign.retriever import embed_library
from guidealign.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Report = Callable[[str, int, int | None], object]
"""Told a phase, how much of it is done, and how much there is."""
_FOUND_AT_ONCE = 256
_EVERYTHING = 2**31 - 1
"""Guidelines that are held in memory: all of any library."""
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
        load: the encoder of a retriever version.
        report: is told of the progress.

    Raises:
        BadInputError: nothing is live.
        ServiceUnavailableError: the database or the registry does not answer.
    """
    begun = time.monotonic()
    release = _live_release(engine)
    with guard_database(), engine.connect() as connection:
        other = candidate_release(connection, candidate, release)
    runner = _Runner([r.turns for r in requests.rows], engine, load, report or _no_report)
    live, after = runner.side("live", release), runner.side("candidate", other)
    return Replay(
        source=requests.source,
        live=release,
        candidate=other,
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
    """The same requests for one release after the other; what two share is encoded once."""

    conversations: list[tuple[str, ...]]
    engine: Engine
    load: Loader
    report: Report

    def __post_init__(self) -> None:
        self._encoders: dict[int, _Remembering] = {}

    def side(self, name: str, release: Release) -> Side:
        """What a release has for each request."""
        self.report(f"{name}: load", 0, 1)
        guidance = ReleaseGuidance.load(
            release, engine=self.engine, load=self._encoder, exact_up_to=_EVERYTHING
        )
        self.report(f"{name}: load", 1, 1)
        choices: list[Choice] = []
        for start in range(0, len(self.conversations), _FOUND_AT_ONCE):
            found = guidance.find(self.conversations[start : start + _FOUND_AT_ONCE])
            choices += [_choice(one) for one in found]
            self.report(f"{name}: search", len(choices), len(self.conversations))
        texts = guidance.live.snapshot.guidelines
        words = {
            int(one): GuidelineWords(title=title, category=category)
            for one, title, category in zip(texts.ids, texts.titles, texts.categories, strict=True)
        }
        return Side(
            library_version=release.library_version,
            retriever_version=release.retriever_version,
            policy_version=release.policy_version,
            n_guidelines=len(texts.ids),
            choices=tuple(choices),
            words=words,
        )

    def _encoder(self, version: int) -> CalibratedEncoder:
        if version not in self._encoders:
            self._encoders[version] = _Remembering(self.load(version))
        return self._encoders[version]


class _Remembering:
    """An encoder that encodes each text once."""

    def __init__(self, encoder: CalibratedEncoder) -> None:
        self._encoder = encoder
        self._vectors: dict[tuple[str, EncoderSide], NDArray[np.float32]] = {}

    @property
    def thresholds(self) -> TopicThresholds:
        return self._encoder.thresholds

    def encode(self, texts: Sequence[str], *, side: EncoderSide) -> NDArray[np.float32]:
        import numpy as np

        missing = [text for text in dict.fromkeys(texts) if (text, side) not in self._vectors]
        if missing:
            for text, vector in zip(missing, self._encoder.encode(missing, side=side), strict=True):
                self._vectors[text, side] = vector
        return np.stack([self._vectors[text, side] for text in texts])


def _choice(found: Found) -> Choice:
    kept = found.guidelines
    prompt = guideline_prompt(kept, found.release.policy) if kept else ""
    return Choice(
        guideline_ids=tuple(guideline.guideline_id for guideline in kept),
        scores=tuple(guideline.score for guideline in kept),
        tokens=estimate_tokens(prompt),
        nearest=found.nearest[0].score if found.nearest else 0.0,
    )
