"""The engine for work that is no request: one release from begin to end, in the caller's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from guidealign.errors import BadInputError
from guidealign.guidance._far import search_far
from guidealign.guidance.finder import Live, asked_of_turns, find_all
from guidealign.guidance.loading import Loader, read_snapshot
from guidealign.guidance.model import Found
from guidealign.records import Release, RetrievedGuideline

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class ReleaseGuidance:
    """Finds guidelines under a release, as the gateway does that serves it.

    It does not follow the ledger: what begins under a release ends under it.
    """

    def __init__(self, live: Live, engine: Engine) -> None:
        """Over a loaded release; see `load`."""
        self._live = live
        self._engine = engine

    @classmethod
    def load(
        cls, release: Release, *, engine: Engine, load: Loader, exact_up_to: int
    ) -> ReleaseGuidance:
        """Loads a release with what people have decided about its guidelines since.

        Args:
            release: with its policy.
            engine: of the guidealign database.
            load: gives the encoder of a retriever version.
            exact_up_to: guidelines that are held in memory; more are searched in Postgres.

        Raises:
            IntegrityError: nothing of the release's library is embedded under its retriever.
            ServiceUnavailableError: the database or the registry does not answer.
        """
        snapshot = read_snapshot(engine, release, exact_up_to=exact_up_to)
        return cls(Live(snapshot=snapshot, encoder=load(release.retriever_version)), engine)

    @property
    def live(self) -> Live:
        """The release with its encoder."""
        return self._live

    @property
    def release(self) -> Release:
        """With its policy."""
        return self._live.release

    def find(
        self,
        conversations: Sequence[Sequence[str]],
        *,
        report: Callable[[int, int], object] | None = None,
    ) -> list[Found]:
        """The guidelines of each conversation; safe to call from several threads.

        Args:
            conversations: a user's turns each, at least one.
            report: told how many texts are encoded, and how many there are.

        Raises:
            BadInputError: in one of them the user says nothing.
            ServiceUnavailableError: the database does not answer.
        """
        asked = [asked_of_turns(turns, self.release.policy) for turns in conversations]
        if not all(asked):
            raise BadInputError("the user has said nothing: there is nothing to look up")
        return find_all(self._live, [one for one in asked if one], far=self._search, report=report)

    def _search(
        self, live: Live, vectors: NDArray[np.float32], k: int, categories: Sequence[str] | None
    ) -> list[RetrievedGuideline]:
        return search_far(self._engine, live, vectors, k, categories)
