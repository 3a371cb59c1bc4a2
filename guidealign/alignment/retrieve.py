"""Finds the guidelines for inputs: candidates, near-duplicates out, keep k."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine

from guidealign.alignment import store
from guidealign.db import guard_database
from guidealign.errors import IntegrityError
from guidealign.guidance import keep_distinct
from guidealign.library import SearchOptions, search_vectors
from guidealign.records import Release, RetrievedGuideline
from guidealign.registry import Registry
from guidealign.retriever import load_serving_encoder
from guidealign.settings import Settings


def retrieve(
    texts: list[str],
    *,
    engine: Engine,
    settings: Settings,
    registry: Registry,
    release: Release,
    input_ids: Sequence[int] | None = None,
) -> list[list[RetrievedGuideline]]:
    """The guidelines to put in front of each text, nearest first.

    With `input_ids` all candidates are stored in `core.retrievals`, kept or not; the same
    input under the same release and settings is stored once. Stage 2 of Guide-Align
    (arXiv 2403.11838): n_docs = 20 candidates, near-duplicates dropped at 0.5, k = 6.

    Raises:
        IntegrityError: nothing of the release's library is embedded under its retriever.
        ServiceUnavailableError: the database or the registry does not answer.
    """
    if not texts:
        return []
    encoder = load_serving_encoder(release.retriever_version, settings=settings, registry=registry)
    found = search_vectors(
        encoder.encode(texts, side="input"),
        engine=engine,
        retriever_version=release.retriever_version,
        k=settings.retrieval.n_candidates,
        options=SearchOptions(library_version=release.library_version),
    )
    if not all(found):
        # Going on would pass unguided answers off as guided ones.
        raise IntegrityError(
            f"no guideline of library version {release.library_version} is embedded under"
            f" retriever version {release.retriever_version}: embed the library first"
        )
    kept = [keep_distinct(candidates, settings.retrieval) for candidates in found]
    if input_ids is not None:
        rows = store.retrieval_rows(input_ids, found, kept, release, settings.retrieval)
        with guard_database(), engine.begin() as connection:
            store.add_retrievals(connection, rows)
    return kept
