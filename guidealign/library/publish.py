"""Publishes: what passed filter and review, without duplicates and contradictions."""

from __future__ import annotations

from collections import Counter
from typing import Any

import structlog
from sqlalchemy import Connection, Engine

from guidealign.db import guard_database
from guidealign.errors import BadInputError
from guidealign.library import store
from guidealign.library._embed import embed_texts
from guidealign.library._polarity import may_contradict
from guidealign.library.model import PublishResult, library_digest
from guidealign.settings import Settings

log = structlog.get_logger()


def latest_version(engine: Engine) -> int:
    """Number of the newest library version; 0 when there is none."""
    with guard_database(), engine.connect() as connection:
        return store.latest_version(connection)


def publish(*, engine: Engine, settings: Settings, note: str, published_by: str) -> PublishResult:
    """Makes the next version of what has changed; without a change the version stays.

    A candidate is published when its author model's review policy says `auto`. One that says
    the same as an active guideline (cosine of the fixed encoder at or over the threshold) is
    merged into it; one that demands what a near one forbids waits for a person. Publications
    at the same time serialise.
    """
    with guard_database():
        _embed_new(engine, settings)
        with engine.begin() as connection, store.publication_lock(connection):
            counts = _curate(connection, settings)
            result = _finish(connection, counts, note, published_by)
    log.info("published", version=result.version, changed=result.changed)
    return result


def retire(guideline_id: int, *, engine: Engine, reason: str, published_by: str) -> PublishResult:
    """Takes an active guideline out of the library, in a version of its own.

    Raises:
        BadInputError: it is not active, or no reason is given.
    """
    if not reason.strip():
        raise BadInputError("retiring a guideline needs a reason")
    with guard_database(), engine.begin() as connection, store.publication_lock(connection):
        version = store.latest_version(connection) + 1
        if not store.retire(connection, guideline_id, version, reason):
            raise BadInputError(f"guideline {guideline_id} is not active")
        return _finish(connection, Counter(retired=1), reason, published_by)


def _embed_new(engine: Engine, settings: Settings) -> None:
    with engine.connect() as connection:
        rows = store.without_embedding(connection)
    if not rows:
        return
    vectors = embed_texts(
        [f"{row.title}: {row.text}" for row in rows], settings.library.embedding_model
    )
    with engine.begin() as connection:
        pairs = [(row.id, vector) for row, vector in zip(rows, vectors, strict=True)]
        store.set_embeddings(connection, pairs)


def _policy(row: Any, settings: Settings) -> str:
    by_model = settings.author.review_policy_by_model
    return by_model.get(row.author_model or "", settings.author.review_policy)


def _curate(connection: Connection, settings: Settings) -> Counter[str]:
    """Decides about every candidate, lowest id first."""
    counts: Counter[str] = Counter()
    version = store.latest_version(connection) + 1
    for row in store.candidates(connection):
        # Starter guidelines are people's work and come curated.
        if row.origin != "starter":
            if _policy(row, settings) == "human":
                store.hold(connection, row.id, "waits for review")
                counts["held"] += 1
                continue
            near = store.nearest_active(connection, row.id)
            opposed = [n for n in near if n.score >= settings.library.contradiction_threshold]
            foe = next((n for n in opposed if may_contradict(row.text, n.text)), None)
            # Before merging: "never do it" is near "do it" in words, and its opposite.
            if foe is not None:
                store.hold(connection, row.id, f"may contradict guideline {foe.id}")
                counts["held"] += 1
                continue
            if near and near[0].score >= settings.library.semantic_duplicate_threshold:
                store.merge(connection, row.id, near[0].id, near[0].score)
                counts["merged"] += 1
                continue
        store.activate(connection, row.id, version)
        counts["added"] += 1
    return counts


def _finish(
    connection: Connection, counts: Counter[str], note: str, published_by: str
) -> PublishResult:
    """Writes the version when something changed."""
    before = store.latest_version(connection)
    changed = counts["added"] + counts["retired"] > 0
    hashes = store.active_hashes(connection)
    figures = {
        "n_added": counts["added"],
        "n_retired": counts["retired"],
        "n_active": len(hashes),
    }
    digest = library_digest(hashes)
    if changed:
        row = {"version": before + 1, "digest": digest, "note": note, "published_by": published_by}
        store.add_version(connection, {**row, **figures})
    return PublishResult(
        version=before + changed,
        changed=changed,
        n_merged=counts["merged"],
        n_held=counts["held"],
        digest=digest,
        reason=note if changed else "no candidate was new, so there is no new version",
        **figures,
    )
