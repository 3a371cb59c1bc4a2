"""Moves the champion: promote, hold, roll back, take over a new library version.

The registry's alias is moved first and the release, which is what readers follow, last: a
crash in between leaves the old release serving, and the next try finds the alias where it
should be and finishes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import structlog
from sqlalchemy import Connection, Engine

from guidealign.alignment import PROMPT_VERSION
from guidealign.db import current_release, guard_database, latest_release, release_by_id
from guidealign.errors import BadInputError, IntegrityError
from guidealign.library import drop_embeddings, latest_version
from guidealign.promotion import store
from guidealign.promotion.store import Move, Note
from guidealign.records import LABRADOR_MODEL, RETRIEVER_MODEL, UNTRAINED_VERSION, Release
from guidealign.registry import Registry
from guidealign.settings import Settings

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
_FIELD = {RETRIEVER_MODEL: "retriever_version", LABRADOR_MODEL: "labrador_version"}

log = structlog.get_logger()


@dataclass(frozen=True)
class SwitchResult:
    """What was done, and the release that serves now."""

    model_name: str
    action: str
    from_version: int
    to_version: int
    release_id: int | None
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler's metadata."""
        return asdict(self)


def adopt_library(*, engine: Engine, settings: Settings, actor: str) -> Release:
    """Serves the newest library version with the live models.

    Raises:
        IntegrityError: the live retriever has not embedded all of it yet.
        BadInputError: there is no library version.
    """
    with guard_database(), store.switch_lock(engine), engine.begin() as connection:
        live = latest_release(connection)
        newest = latest_version(engine)
        if newest == 0:
            raise BadInputError("the library has no version yet: publish one first")
        if live and live.library_version == newest:
            return live
        versions = _versions(live, newest)
        _require_embedded(connection, versions)
        note = Note(actor, f"library version {newest}")
        release_id = store.add_release(
            connection, versions, settings=_settings_of(settings), note=note
        )
        return release_by_id(connection, release_id)


def decide_and_switch(
    decision_id: int, *, engine: Engine, settings: Settings, registry: Registry, actor: str
) -> SwitchResult:
    """Does what a gate decided, once: promotes the challenger or records why it is held.

    Raises:
        BadInputError: there is no such decision.
        IntegrityError: the challenger cannot be served yet (its embeddings are not complete).
    """
    with guard_database(), store.switch_lock(engine), engine.connect() as connection:
        decision = store.decision(connection, decision_id)
        if decision is None:
            raise BadInputError(f"there is no gate decision {decision_id}")
        model_name, challenger_version = decision.model_name, decision.challenger_version
        done = store.move_of_decision(connection, model_name, decision_id)
        if done is None:
            switch = Switch(engine, settings, registry, Note(actor, decision.reason))
            live = store.live_version(latest_release(connection), model_name)
            if decision.verdict != "promote":
                done = switch.hold(model_name, challenger_version, decision_id)
            elif live != decision.champion_version:
                reason = f"decided against version {decision.champion_version}, {live} is live"
                switch = Switch(engine, settings, registry, Note(actor, reason))
                done = switch.hold(model_name, challenger_version, decision_id)
            else:
                done = switch.move(model_name, challenger_version, "promote", decision_id)
    log.info("switched", model=model_name, **asdict(done))
    return SwitchResult(model_name, **asdict(done))


def follow_judgement(
    judged: dict[str, Any], *, engine: Engine, settings: Settings, registry: Registry, actor: str
) -> SwitchResult:
    """Does what a judgement (as a dictionary) says; without a decision nothing moves.

    Raises:
        BadInputError: its gate decision does not exist.
        IntegrityError: the challenger cannot be served yet.
    """
    if judged["decision_id"] is not None:
        return decide_and_switch(
            judged["decision_id"], engine=engine, settings=settings, registry=registry, actor=actor
        )
    live = current_release(engine)
    return SwitchResult(
        model_name=judged["model_name"],
        action="keep",
        from_version=judged["champion_version"],
        to_version=judged["challenger_version"],
        release_id=live.release_id if live else None,
        reason=judged["reason"],
    )


def rollback(
    model_name: str,
    *,
    engine: Engine,
    settings: Settings,
    registry: Registry,
    actor: str,
    reason: str,
) -> SwitchResult:
    """Serves the previous champion again; its embeddings are still there.

    Raises:
        BadInputError: there is no previous version, or no reason was given.
    """
    if model_name not in _FIELD:
        raise BadInputError(f"no model {model_name!r}; there are {', '.join(_FIELD)}")
    if not reason.strip():
        raise BadInputError("a rollback needs a reason (--reason)")
    previous = registry.alias_version(model_name, PREVIOUS)
    with guard_database(), store.switch_lock(engine):
        with engine.connect() as connection:
            live = store.live_version(latest_release(connection), model_name)
        target = UNTRAINED_VERSION if previous is None else previous
        if live == target:
            raise BadInputError(f"{model_name} has no previous version to go back to")
        switch = Switch(engine, settings, registry, Note(actor, reason))
        done = switch.move(model_name, target, "rollback", None)
    return SwitchResult(model_name, **asdict(done))


@dataclass(frozen=True)
class Switch:
    """One move under the switch lock."""

    engine: Engine
    settings: Settings
    registry: Registry
    note: Note

    def hold(self, model_name: str, challenger: int, decision_id: int) -> Move:
        """Records that the champion stays."""
        with self.engine.begin() as connection:
            live = latest_release(connection)
            move = Move(
                "hold",
                store.live_version(live, model_name),
                challenger,
                live.release_id if live else None,
                self.note.reason,
            )
            store.add_move(
                connection, model_name, move, actor=self.note.actor, decision_id=decision_id
            )
        return move

    def move(self, model_name: str, version: int, action: str, decision_id: int | None) -> Move:
        """Moves aliases, then appends the release and the move in one transaction.

        Raises:
            IntegrityError: not every active guideline has a vector of the retriever.
        """
        with self.engine.begin() as connection:
            live = latest_release(connection)
            before = store.live_version(live, model_name)
            versions = _versions(live, latest_version(self.engine))
            versions[_FIELD[model_name]] = version
            _require_embedded(connection, versions)
            self._move_aliases(model_name, before, version)
            release_id = store.add_release(
                connection, versions, settings=_settings_of(self.settings), note=self.note
            )
            move = Move(action, before, version, release_id, self.note.reason)
            store.add_move(
                connection, model_name, move, actor=self.note.actor, decision_id=decision_id
            )
        if model_name == RETRIEVER_MODEL and action == "promote":
            # The one before stays, for going back; a rollback drops nothing.
            drop_embeddings({before, version}, engine=self.engine)
        return move

    def _move_aliases(self, model_name: str, before: int, version: int) -> None:
        if before != UNTRAINED_VERSION:
            self.registry.set_alias(model_name, PREVIOUS, before)
        if version == UNTRAINED_VERSION:
            self.registry.delete_alias(model_name, CHAMPION)
        else:
            self.registry.set_alias(model_name, CHAMPION, version)
        if self.registry.alias_version(model_name, CHALLENGER) == version:
            self.registry.delete_alias(model_name, CHALLENGER)


def _versions(live: Release | None, library_version: int) -> dict[str, Any]:
    return {
        "library_version": library_version,
        "retriever_version": live.retriever_version if live else UNTRAINED_VERSION,
        "labrador_version": live.labrador_version if live else UNTRAINED_VERSION,
        "prompt_version": PROMPT_VERSION,
    }


def _require_embedded(connection: Connection, versions: dict[str, Any]) -> None:
    missing = store.count_unembedded(
        connection,
        library_version=versions["library_version"],
        retriever=versions["retriever_version"],
    )
    if missing:
        raise IntegrityError(
            f"{missing} guidelines of library version {versions['library_version']} have no"
            f" vector of retriever {versions['retriever_version']}: embed the library first"
        )


def _settings_of(settings: Settings) -> dict[str, Any]:
    return {"retrieval": settings.retrieval.model_dump(mode="json")}
