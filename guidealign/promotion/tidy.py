"""Clearing away what no release can need again."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Engine

from guidealign.db import current_release, guard_database
from guidealign.library import drop_embeddings
from guidealign.promotion import store
from guidealign.promotion._steps import CHALLENGER, CHAMPION, PREVIOUS
from guidealign.records import RETRIEVER_MODEL
from guidealign.registry import Registry


def drop_unused_embeddings(
    *, engine: Engine, registry: Registry, also_keep: Collection[int] = ()
) -> list[int]:
    """Drops the vectors of retrievers that neither serve, nor are the way back, nor on trial.

    Args:
        engine: of the guidealign database.
        registry: whose aliases say which versions those are.
        also_keep: further versions, such as that of a canary.

    Returns:
        The versions whose vectors were dropped; none while nothing is served.

    Raises:
        ServiceUnavailableError: database or registry do not answer; nothing was dropped.
    """
    aliases = {
        registry.alias_version(RETRIEVER_MODEL, alias) for alias in (CHAMPION, PREVIOUS, CHALLENGER)
    }
    # No switch in between: what is promoted now would lose its vectors.
    with guard_database(), store.switch_lock(engine):
        release = current_release(engine)
        if release is None:
            return []
        keep = {release.retriever_version, *also_keep} | {v for v in aliases if v is not None}
        return drop_embeddings(keep, engine=engine)
