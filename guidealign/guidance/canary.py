"""A candidate release beside the live one: declared, tried on some conversations, cleared."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, text

from guidealign.db import guard_database, guidance_policy, latest_release
from guidealign.errors import BadInputError, GuidealignError, places
from guidealign.guidance import store
from guidealign.guidance.finder import Live
from guidealign.guidance.loading import ReleaseLoader
from guidealign.records import Release

log = structlog.get_logger()

_RETRY_S = 30.0
_DECLARE = text(
    "insert into core.canaries (library_version, retriever_version, policy_version, release_id,"
    " actor, reason) values (:library, :retriever, :policy, :release, :actor, :reason)"
    " returning id"
)
_LIBRARY = text("select 1 from core.library_versions where version = :version")
_LIST = text(
    "select id as canary_id, library_version, retriever_version, policy_version, state, actor,"
    " reason, created_at from library.canaries order by id desc"
)
_REASON_CHARS = 500


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What could be live next."""

    library_version: int
    retriever_version: int
    policy_version: int | None = None
    """Of the guidance policy; None: the live release's."""


@dataclass(frozen=True, kw_only=True)
class CanaryRow:
    """A line of the ledger of candidates."""

    canary_id: int
    library_version: int | None
    """None: the line ends the candidate before."""
    retriever_version: int | None
    policy_version: int | None
    state: str
    """open, promoted, ended or cleared."""
    actor: str
    reason: str
    created_at: datetime


def list_canaries(*, engine: Engine) -> list[CanaryRow]:
    """All candidates there were, the newest first.

    Raises:
        ServiceUnavailableError: the database does not answer.
    """
    with guard_database(), engine.connect() as connection:
        return [CanaryRow(**row) for row in connection.execute(_LIST).mappings()]


def declare_canary(candidate: Candidate, *, engine: Engine, actor: str, reason: str) -> int:
    """Has the gateway try a candidate on the `canary_share` of each key; its number.

    It takes the place of an earlier one, and ends when its parts are promoted.

    Raises:
        BadInputError: it is live already, has no such library, or is not embedded as a whole.
        ServiceUnavailableError: the database does not answer.
    """
    with guard_database(), engine.begin() as connection:
        live = require_candidate(connection, candidate)
        values = {
            "library": candidate.library_version,
            "retriever": candidate.retriever_version,
            "policy": candidate.policy_version or live.policy_version,
            "release": live.release_id,
        }
        return _insert(connection, values, actor, reason)


def clear_canary(*, engine: Engine, actor: str, reason: str) -> int | None:
    """Ends the candidate's trial; the number of the candidate, or None: there was none.

    Raises:
        ServiceUnavailableError: the database does not answer.
    """
    with guard_database(), engine.begin() as connection:
        open_ = store.open_canary(connection)
        if open_ is None:
            return None
        release = latest_release(connection)
        values = {
            "library": None,
            "retriever": None,
            "policy": None,
            "release": release and release.release_id,
        }
        _insert(connection, values, actor, reason)
        return open_.canary_id


def _insert(connection: Connection, values: dict[str, Any], actor: str, reason: str) -> int:
    said = {"actor": actor, "reason": reason[:_REASON_CHARS]}
    return int(connection.execute(_DECLARE, values | said).scalar_one())


def candidate_release(connection: Connection, candidate: Candidate, live: Release) -> Release:
    """The live release with the candidate's parts in place of its own."""
    version = candidate.policy_version or live.policy_version
    return replace(
        live,
        library_version=candidate.library_version,
        retriever_version=candidate.retriever_version,
        policy_version=version,
        policy=guidance_policy(connection, version) or live.policy,
    )


def require_candidate(connection: Connection, candidate: Candidate) -> Release:
    """The live release, next to which a candidate can be tried.

    Raises:
        BadInputError: nothing is live, or the candidate is, or cannot be served.
    """
    live = latest_release(connection)
    if live is None:
        raise BadInputError("nothing was ever released: run a cycle, or adopt a library")
    library, retriever = candidate.library_version, candidate.retriever_version
    policy = candidate.policy_version or live.policy_version
    parts = (live.library_version, live.retriever_version, live.policy_version)
    if parts == (library, retriever, policy):
        raise BadInputError(
            f"library version {library} with retriever version {retriever} and guidance policy"
            f" {policy} is live: name another"
        )
    if guidance_policy(connection, policy) is None:
        raise BadInputError(
            f"there is no guidance policy {policy}: `guidealign guidance list` has those there are"
        )
    if connection.execute(_LIBRARY, {"version": library}).first() is None:
        raise BadInputError(f"there is no library version {library}")
    missing = store.count_unembedded(connection, library=library, retriever=retriever)
    if missing:
        raise BadInputError(
            f"{missing} guidelines of library version {library} have no vector of retriever"
            f" version {retriever}: `guidealign replay` embeds them"
        )
    return live


class CandidateFollower:
    """Holds the candidate that is open, loaded like the live release; a fault of it is no more
    than a candidate that is not tried."""

    def __init__(self, loader: ReleaseLoader) -> None:
        self._loader = loader
        self._seen: store.Stamp | None = None
        self._retry_at = 0.0
        self.live: Live | None = None
        self.fault: str | None = None
        """Why the candidate that is open is not tried; None: it is, or none is open."""

    def follow(self, stamp: store.Stamp, live: Live) -> None:
        """Takes over what is open now; raises nothing.

        Args:
            stamp: of the ledger.
            live: what is served beside it, under the stamp's release.
        """
        if stamp == self._seen or (self.fault is not None and time.monotonic() < self._retry_at):
            return
        try:
            self.live = self._followed(stamp, live)
        except GuidealignError as error:
            self._fail(str(error))
        except Exception as error:  # whatever it is, what is live goes on
            log.warning("canary_failed", error=places(error))
            self._fail(f"the candidate cannot be loaded ({type(error).__name__})")
        else:
            self.fault, self._seen = None, stamp

    def _fail(self, fault: str) -> None:
        log.warning("canary_not_loaded", fault=fault)
        self.live, self.fault, self._retry_at = None, fault, time.monotonic() + _RETRY_S

    def _followed(self, stamp: store.Stamp, live: Live) -> Live | None:
        open_ = stamp.canary
        if open_ is None:
            return None
        # Its release is the one that it stands in for, with parts of its own.
        release = replace(
            live.snapshot.release,
            library_version=open_.library_version,
            retriever_version=open_.retriever_version,
            policy_version=open_.policy_version,
            policy=open_.policy,
        )
        # A promotion drops the vectors of all other retrievers; a search would come out empty.
        self._loader.require_embedded(release)
        mine = self.live
        if mine is not None and mine.canary_id == open_.canary_id:
            mine = replace(mine, snapshot=replace(mine.snapshot, release=release))
            return self._loader.refreshed(mine)
        loaded = self._loader.loaded(release, (live,))
        log.info("canary", canary=open_.canary_id, n=len(loaded.snapshot.guidelines.ids))
        return replace(loaded, canary_id=open_.canary_id)
