"""SQL of promotion: the ledger of releases and moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Engine, text

from guidealign.db import session_lock
from guidealign.records import LABRADOR_MODEL, RETRIEVER_MODEL, UNTRAINED_VERSION, Release

_INSERT_RELEASE = text(
    "insert into core.releases (library_version, retriever_version, labrador_version,"
    " policy_version, actor, reason) values (:library_version, :retriever_version,"
    " :labrador_version, :policy_version, :actor, :reason) returning id"
)
_INSERT_MOVE = text(
    "insert into core.promotions (model_name, action, from_version, to_version,"
    " gate_decision_id, release_id, actor, reason) values (:model_name, :action, :from_version,"
    " :to_version, :gate_decision_id, :release_id, :actor, :reason)"
)
_MOVE_OF_DECISION = text(
    "select action, from_version, to_version, release_id, reason from core.promotions"
    " where model_name = :model_name and gate_decision_id = :decision_id order by id limit 1"
)
_DECISION = text(
    "select model_name, challenger_version, champion_version, verdict, reason"
    " from core.gate_decisions where id = :id"
)
_PASSED = text(
    "select d.id from core.gate_decisions d where d.id = (select max(id) from core.gate_decisions"
    "   where model_name = :model_name and challenger_version = :version)"
    " and d.verdict = 'promote' and d.champion_version = :live"
    " and exists (select from core.model_lineage l"
    "   where l.model_name = d.model_name and l.version = d.challenger_version)"
    " and not exists (select from core.promotions p"
    "   where p.model_name = d.model_name and p.gate_decision_id = d.id)"
)
_WAS_SERVED = text(
    "select exists (select from core.releases where :version ="
    " case when cast(:model_name as text) = :retriever then retriever_version"
    " else labrador_version end)"
)
_BEGIN_SWITCH = text(
    "insert into core.switches (model_name, action, from_version, to_version, previous_version,"
    " challenger_version, gate_decision_id, actor, reason) values (:model_name, :action,"
    " :from_version, :to_version, :previous_version, :challenger_version, :decision_id, :actor,"
    " :reason) returning id"
)
_OPEN_SWITCH = text(
    "select id, model_name, action, from_version, to_version, previous_version,"
    " challenger_version, gate_decision_id, actor, reason from core.switches"
    " where model_name = :model_name and ended_at is null"
)
_END_SWITCH = text("update core.switches set ended_at = now(), outcome = :outcome where id = :id")
_POLICY_BEFORE = text(
    "select policy_version from core.releases where policy_version <> :live"
    " order by id desc limit 1"
)


@dataclass(frozen=True)
class Move:
    """What was done with a champion."""

    action: str
    from_version: int
    to_version: int
    release_id: int | None
    reason: str


@dataclass(frozen=True)
class Note:
    """Who does something, and why."""

    actor: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Intent:
    """What a switch is about to do, with where every alias stood before it."""

    model_name: str
    action: str
    from_version: int
    to_version: int
    previous_version: int | None
    challenger_version: int | None
    decision_id: int | None
    note: Note
    id: int = 0
    """Of the stored row; 0: not stored yet."""


@contextmanager
def switch_lock(engine: Engine) -> Iterator[None]:
    """One switch at a time on the whole installation; let go of when the holder dies."""
    with engine.connect() as connection, session_lock(connection, "guidealign.switch"):
        yield


def add_release(connection: Connection, versions: dict[str, int], note: Note) -> int:
    """Appends a release, which makes it the live one."""
    values = {**versions, "actor": note.actor, "reason": note.reason}
    return connection.execute(_INSERT_RELEASE, values).scalar_one()


def policy_before(connection: Connection, live: int) -> int | None:
    """The guidance policy that was live before the live one; None: there was no other."""
    return connection.execute(_POLICY_BEFORE, {"live": live}).scalar_one_or_none()


def add_move(
    connection: Connection, model_name: str, move: Move, *, actor: str, decision_id: int | None
) -> None:
    """Appends a move, or the decision not to move."""
    values = {
        "model_name": model_name,
        "action": move.action,
        "from_version": move.from_version,
        "to_version": move.to_version,
        "gate_decision_id": decision_id,
        "release_id": move.release_id,
        "actor": actor,
        "reason": move.reason,
    }
    connection.execute(_INSERT_MOVE, values)


def begin_switch(connection: Connection, intent: Intent) -> Intent:
    """Writes down what is about to be done; one at a time for each model."""
    values = {
        "model_name": intent.model_name,
        "action": intent.action,
        "from_version": intent.from_version,
        "to_version": intent.to_version,
        "previous_version": intent.previous_version,
        "challenger_version": intent.challenger_version,
        "decision_id": intent.decision_id,
        "actor": intent.note.actor,
        "reason": intent.note.reason,
    }
    return replace(intent, id=connection.execute(_BEGIN_SWITCH, values).scalar_one())


def open_switch(connection: Connection, model_name: str) -> Intent | None:
    """The switch that was begun and not ended: its process died, or a service went away."""
    row = connection.execute(_OPEN_SWITCH, {"model_name": model_name}).one_or_none()
    if row is None:
        return None
    return Intent(
        id=row.id,
        model_name=row.model_name,
        action=row.action,
        from_version=row.from_version,
        to_version=row.to_version,
        previous_version=row.previous_version,
        challenger_version=row.challenger_version,
        decision_id=row.gate_decision_id,
        note=Note(row.actor, row.reason),
    )


def end_switch(connection: Connection, intent: Intent, *, outcome: str) -> None:
    """Says how a switch ended: `done` or `undone`."""
    connection.execute(_END_SWITCH, {"id": intent.id, "outcome": outcome})


def move_of_decision(connection: Connection, model_name: str, decision_id: int) -> Move | None:
    """What was done about a gate's decision, if it was done."""
    row = connection.execute(
        _MOVE_OF_DECISION, {"model_name": model_name, "decision_id": decision_id}
    ).one_or_none()
    return Move(*row) if row else None


def decision(connection: Connection, decision_id: int) -> Any:
    """A gate's decision: model_name, challenger_version, champion_version, verdict, reason."""
    return connection.execute(_DECISION, {"id": decision_id}).one_or_none()


def passed_decision(connection: Connection, model_name: str, version: int, live: int) -> int | None:
    """The newest decision about a version, where it lets it take the place of the live one.

    None as well: something was done about it already, or its files were never read back.
    """
    values = {"model_name": model_name, "version": version, "live": live}
    return connection.execute(_PASSED, values).scalar_one_or_none()


def was_served(connection: Connection, model_name: str, version: int) -> bool:
    """Whether a release of the ledger has the version."""
    values = {"model_name": model_name, "version": version, "retriever": RETRIEVER_MODEL}
    return bool(connection.execute(_WAS_SERVED, values).scalar_one())


def last_verdict(connection: Connection, model_name: str, version: int) -> str | None:
    """What the gate last said of a version; None: it was not asked."""
    query = text(
        "select verdict from core.gate_decisions where model_name = :model"
        " and challenger_version = :version order by id desc limit 1"
    )
    return connection.execute(query, {"model": model_name, "version": version}).scalar_one_or_none()


def live_version(release: Release | None, model_name: str) -> int:
    """Version of a model in a release; the untrained base where nothing is served yet."""
    if release is None:
        return UNTRAINED_VERSION
    versions = {
        RETRIEVER_MODEL: release.retriever_version,
        LABRADOR_MODEL: release.labrador_version,
    }
    return versions[model_name]
