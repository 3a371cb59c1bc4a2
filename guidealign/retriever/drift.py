"""What live inputs look like to the retriever that serves, and which topics have no guideline."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Connection, Engine

from guidealign.authoring import prefer_inputs
from guidealign.db import current_release, guard_database
from guidealign.guidance import Encoder, ReleaseGuidance
from guidealign.registry import Registry
from guidealign.retriever import _drift_store
from guidealign.retriever._drift_store import DriftCluster, DriftReport
from guidealign.retriever.model import Split
from guidealign.retriever.serve import load_guidance
from guidealign.retriever.train import load_split
from guidealign.settings import DriftSettings, Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FEWEST_HELD_OUT = 20
_POOR_SHARE = 0.1
"""Of held-out inputs, whose best guideline scores lower than `good_score`."""
_EARLIER = 500
"""Topics of earlier reports that a topic is compared with, the latest first."""

log = structlog.get_logger()


def measure_drift(
    *, engine: Engine, settings: Settings, registry: Registry, until: date | None = None
) -> DriftReport | None:
    """Measures the inputs of some days against held-out ones, and stores what comes of it.

    Inputs whose best guideline scores below what it does for nine of ten held-out inputs are
    poorly served. Those of them that lie close together are a topic without a good
    guideline: authoring takes its inputs first. The same days are measured anew, not twice.

    Args:
        engine: the guidealign database.
        settings: `drift` says how many days, and what is one topic.
        registry: where the live retriever is.
        until: the day behind the last; None: tomorrow, in UTC, so that today counts.

    Returns:
        The report; None: nothing is served yet.

    Raises:
        ServiceUnavailableError: the database or the registry does not answer.
    """
    release = current_release(engine)
    if release is None:
        return None
    until = until or datetime.now(UTC).date() + timedelta(days=1)
    since = until - timedelta(days=settings.drift.days)
    guidance = load_guidance(release, engine=engine, settings=settings, registry=registry)
    encoder = guidance.live.encoder
    split, guidelines = load_split(release.library_version, engine=engine, settings=settings)
    bar = _bar(guidance, guidelines.texts.keys(), split)
    with guard_database(), engine.begin() as connection:
        n_inputs = _drift_store.count_inputs(connection, since, until)
        rows = _drift_store.sample_inputs(
            connection, since, until, limit=settings.drift.most_inputs
        )
        report = DriftReport(
            since=since,
            until=until,
            retriever_version=release.retriever_version,
            library_version=release.library_version,
            n_inputs=n_inputs,
            n_measured=len(rows),
        )
        if rows:
            texts = [row.text for row in rows]
            best = _best(guidance, texts)
            report = _with_scores(report, best, bar)
            if bar is not None:
                vectors = encoder.encode(texts, side="input")
                ids = [row.id for row in rows]
                topics = _topics(ids, vectors, best, bar.good_score, settings.drift)
                clusters = _separated(connection, topics, encoder, since, settings.drift)
                report = replace(report, clusters=clusters)
        _drift_store.save(connection, report)
        n_first = prefer_inputs(connection, report.priorities())
    log.info("drift measured", n_first=n_first, **report.as_dict())
    return replace(report, n_preferred=n_first)


@dataclass(frozen=True, kw_only=True)
class _Best:
    """What guidance finds for each input, (n,)."""

    scores: NDArray[np.float32]
    """Cosine of the nearest guideline of any topic."""
    guidelines: NDArray[np.int64]
    given: NDArray[np.bool_]
    """Whether any guideline is given."""


@dataclass(frozen=True, kw_only=True)
class _Bar:
    """What held-out inputs reach."""

    scores: NDArray[np.float32]
    """Of their best guideline."""
    good_score: float


def _bar(guidance: ReleaseGuidance, served: Collection[int], split: Split) -> _Bar | None:
    """None: there are too few held-out inputs to compare with."""
    import numpy as np

    test = [item for item in split.test if not set(item.guideline_ids).isdisjoint(served)]
    if len(test) < _FEWEST_HELD_OUT:
        return None
    scores = _best(guidance, [item.text for item in test]).scores
    return _Bar(scores=scores, good_score=float(np.quantile(scores, _POOR_SHARE)))


def _best(guidance: ReleaseGuidance, texts: Sequence[str]) -> _Best:
    import numpy as np

    found = guidance.find([[text] for text in texts])
    nearest = [one.nearest[0] if one.nearest else None for one in found]
    return _Best(
        scores=np.array([-1.0 if g is None else g.score for g in nearest], dtype=np.float32),
        guidelines=np.array([0 if g is None else g.guideline_id for g in nearest], dtype=np.int64),
        given=np.array([bool(one.guidelines) for one in found]),
    )


def _with_scores(report: DriftReport, best: _Best, bar: _Bar | None) -> DriftReport:
    import numpy as np

    scores = best.scores
    low, middle, high = (float(v) for v in np.quantile(scores, [0.1, 0.5, 0.9]))
    report = replace(
        report,
        low_score=low,
        median_score=middle,
        high_score=high,
        share_abstained=float((~best.given).mean()),
    )
    if bar is None:
        return report
    from scipy.stats import ks_2samp

    alike = ks_2samp(scores, bar.scores)
    return replace(
        report,
        good_score=bar.good_score,
        share_poor=float((scores < bar.good_score).mean()),
        distance=float(alike.statistic),
        p_value=float(alike.pvalue),
    )


def _topics(
    ids: Sequence[int],
    vectors: NDArray[np.float32],
    best: _Best,
    good_score: float,
    settings: DriftSettings,
) -> list[DriftCluster]:
    """Poorly served inputs that lie close together, largest first."""
    poor = (best.scores < good_score).nonzero()[0]
    return [
        DriftCluster(
            example_id=ids[poor[members[0]]],
            input_ids=tuple(ids[poor[member]] for member in members),
            guideline_id=int(best.guidelines[poor[members[0]]]),
            score=float(best.scores[poor[members[0]]]),
            is_new=True,
        )
        for members in group_near(vectors[poor], settings.same_topic_cosine)
        if len(members) >= settings.least_inputs
    ]


def group_near(vectors: NDArray[np.float32], least_cosine: float) -> list[list[int]]:
    """Groups of rows around the one with most neighbours, largest first (Butina 1999).

    Args:
        vectors: L2-normalised, (n, dimensions).
        least_cosine: with the row in the middle, which stands first in its group.

    Returns:
        Every row in one group; the order of rows decides between equals.
    """
    import numpy as np

    near = vectors @ vectors.T >= least_cosine  # (n, n)
    np.fill_diagonal(near, val=True)
    groups: list[list[int]] = []
    while near.any():
        middle = int(near.sum(axis=1).argmax())
        members = near[middle].nonzero()[0]
        groups.append([middle, *(int(member) for member in members if member != middle)])
        near[members, :] = False
        near[:, members] = False
    return groups


def _separated(
    connection: Connection,
    topics: Sequence[DriftCluster],
    encoder: Encoder,
    since: date,
    settings: DriftSettings,
) -> tuple[DriftCluster, ...]:
    """Which topics earlier reports have not."""
    import numpy as np

    earlier = _drift_store.earlier_examples(connection, since, limit=_EARLIER)
    if not topics or not earlier:
        return tuple(topics)
    texts = _drift_store.texts_of(connection, [topic.example_id for topic in topics])
    mine = encoder.encode([texts[topic.example_id] for topic in topics], side="input")
    known = encoder.encode(earlier, side="input")
    nearest = np.max(mine @ known.T, axis=1)
    return tuple(
        replace(topic, is_new=bool(score < settings.same_topic_cosine))
        for topic, score in zip(topics, nearest, strict=True)
    )


def drift_reports(*, engine: Engine, limit: int = 12) -> list[DriftReport]:
    """The latest reports with their topics, the newest first."""
    with guard_database(), engine.connect() as connection:
        return _drift_store.latest(connection, limit)


def drift_in_words(report: DriftReport) -> str:
    """A sentence or two for a note."""
    days = f"{report.since:%d %b} to {report.until - timedelta(days=1):%d %b}"
    if not report.n_measured:
        return f"{days}: no new inputs."
    if report.share_poor is None:
        return f"{days}: {report.n_inputs} new inputs; too few held-out ones to compare with."
    new = sum(cluster.is_new for cluster in report.clusters)
    return (
        f"{days}: of {report.n_inputs} new inputs {report.share_poor:.0%} have no good guideline"
        f" (10% of held-out ones have none); {len(report.clusters)} topics among them, {new} new."
        f" {report.n_preferred} inputs are authored first."
    )
