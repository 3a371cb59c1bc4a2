"""A release ready to serve: its library out of the database or from disk, its encoder warm."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Engine

from guidealign.db import guard_database
from guidealign.errors import IntegrityError
from guidealign.guidance import _disk, store
from guidealign.guidance.finder import Live
from guidealign.guidance.model import CalibratedEncoder
from guidealign.guidance.snapshot import Snapshot, Texts, searched_elsewhere
from guidealign.records import Release

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = structlog.get_logger()

_WARM_UP = "Which guidelines fit this?"
Loader = Callable[[int], CalibratedEncoder]
"""Gives the encoder of a retriever version."""


class ReleaseLoader:
    """Loads releases, one beside the other; each is kept on disk, the last one loaded.

    Args:
        engine: of the guidealign database.
        load: the encoder of a version.
        folder: where the last release is kept.
        exact_up_to: guidelines that are held in memory; vectors of more stay in the file.
    """

    def __init__(self, engine: Engine, load: Loader, folder: Path, *, exact_up_to: int) -> None:
        self._engine = engine
        self._load = load
        self._folder = folder
        self._exact_up_to = exact_up_to
        self.is_kept = True
        """Whether what was decided last is on disk; where it is not, `refreshed` tries again."""

    def loaded(self, release: Release, known: Iterable[Live | None]) -> Live:
        """A release from the database; with an encoder of `known` where it is the same version.

        Raises:
            GuidealignError: it cannot be loaded.
        """
        encoder = self._encoder(release.retriever_version, known)
        return _live(self._read(release), encoder)

    def require_embedded(self, release: Release) -> None:
        """Refuses a release of which vectors are missing.

        Raises:
            IntegrityError: some are.
            ServiceUnavailableError: the database does not answer.
        """
        library, retriever = release.library_version, release.retriever_version
        with guard_database(), self._engine.connect() as connection:
            missing = store.count_unembedded(connection, library=library, retriever=retriever)
        if missing:
            raise IntegrityError(
                f"{missing} guidelines of library version {library} have no vector of retriever"
                f" version {retriever}: a promotion may have dropped them"
            )

    def refreshed(self, live: Live) -> Live:
        """The same with what was decided since, also on disk; `live` itself where that is nothing.

        Raises:
            ServiceUnavailableError: the database does not answer.
        """
        overlay = store.overlay(self._engine, live.release)
        if overlay == live.snapshot.overlay and self.is_kept:
            return live
        try:
            _disk.update(self._folder, live.release, overlay)
            self.is_kept = True
        except _disk.UNREADABLE as error:
            # It serves from memory; only a restart without the database would miss it.
            if self.is_kept:
                log.warning("gateway_snapshot_not_kept", error=type(error).__name__)
            self.is_kept = False
        return replace(live, snapshot=replace(live.snapshot, overlay=overlay))

    def last_good(self) -> Live | None:
        """The release that is kept on disk; None: there is none.

        Raises:
            GuidealignError: it cannot be loaded.
        """
        snapshot = _disk.load(self._folder, exact_up_to=self._exact_up_to)
        if snapshot is None:
            return None
        return _live(snapshot, self._encoder(snapshot.release.retriever_version, ()))

    def _encoder(self, version: int, known: Iterable[Live | None]) -> CalibratedEncoder:
        for live in known:
            if live is not None and live.snapshot.release.retriever_version == version:
                return live.encoder
        encoder = self._load(version)
        encoder.encode([_WARM_UP], side="input")
        return encoder

    def _read(self, release: Release) -> Snapshot:
        overlay = store.overlay(self._engine, release)
        texts, vectors = _embedded(self._engine, release)
        try:
            file = _disk.save(self._folder, release, texts, vectors, overlay)
            self.is_kept = True
            if len(texts.ids) > self._exact_up_to:
                vectors = _disk.mapped(file)
        except OSError as error:
            # It serves from memory; only a restart without the database would miss it.
            log.warning("gateway_snapshot_not_kept", error=error.strerror)
        return _disk.held(release, texts, vectors, overlay, exact_up_to=self._exact_up_to)


def read_snapshot(engine: Engine, release: Release, *, exact_up_to: int) -> Snapshot:
    """A release out of the database, and nothing on disk.

    Of a library beyond `exact_up_to` it holds no vectors: it is searched in Postgres.

    Raises:
        IntegrityError: nothing of the release's library is embedded under its retriever.
        ServiceUnavailableError: the database does not answer.
    """
    overlay = store.overlay(engine, release)
    if store.count_embedded(engine, release, up_to=exact_up_to) > exact_up_to:
        return searched_elsewhere(release, overlay)
    texts, vectors = _embedded(engine, release)
    return _disk.held(release, texts, vectors, overlay, exact_up_to=exact_up_to)


def _embedded(engine: Engine, release: Release) -> tuple[Texts, NDArray[np.float32]]:
    texts, vectors = store.guidelines(engine, release)
    if not len(texts.ids):
        raise IntegrityError(
            f"no guideline of library version {release.library_version} is embedded under"
            f" retriever version {release.retriever_version}: embed the library first"
        )
    return texts, vectors


def _live(snapshot: Snapshot, encoder: CalibratedEncoder) -> Live:
    return Live(snapshot=snapshot, encoder=encoder)
