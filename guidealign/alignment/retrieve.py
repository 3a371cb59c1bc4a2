"""Finds the guidelines for inputs, and keeps what was found."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine

from guidealign.alignment import store
from guidealign.db import guard_database
from guidealign.guidance import Found
from guidealign.records import Release
from guidealign.registry import Registry
from guidealign.retriever import load_guidance
from guidealign.settings import Settings


def retrieve(
    texts: list[str],
    *,
    engine: Engine,
    settings: Settings,
    registry: Registry,
    release: Release,
    input_ids: Sequence[int] | None = None,
) -> list[Found]:
    """What the gateway would find for each text under a release.

    With `input_ids` all candidates are stored in `core.retrievals`, given or not; the same
    input under the same release is stored once.

    Raises:
        IntegrityError: nothing of the release's library is embedded under its retriever.
        ServiceUnavailableError: the database or the registry does not answer.
    """
    if not texts:
        return []
    guidance = load_guidance(release, engine=engine, settings=settings, registry=registry)
    found = guidance.find([[text] for text in texts])
    if input_ids is not None:
        rows = store.retrieval_rows(input_ids, found, release)
        with guard_database(), engine.begin() as connection:
            store.add_retrievals(connection, rows)
    return found
