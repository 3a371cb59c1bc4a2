"""SQL of promotion: the ledger of releases and moves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, text

from guidealign.db import session_lock
from guidealign.records import LABRADOR_MODEL, RETRIEVER_MODEL, UNTRAINED_VERSION, Release

_INSERT_RELEASE = text(
    "insert into core.releases (library_version, retriever_version, labrador_version,"
    " prompt_version, settings, actor, reason) values (:library_version, :retriever_version,"
    " :labrador_version, :prompt_version, :settings, :actor, :reason) returning id"
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
_UNEMBEDDED = text(
    "select count(*) from core.guidelines g where g.served @> cast(:library as int)"
    " and not exists"
    " (select from core.embeddings e where e.guideline_id = g.id"
    " and e.retriever_version = :retriever)"
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


@contextmanager
def switch_lock(engine: Engine) -> Iterator[None]:
    """One switch at a time on the whole installation; let go of when the holder dies."""
    with engine.connect() as connection, session_lock(connection, "guidealign.switch"):
        yield


def add_release(
    connection: Connection, versions: dict[str, Any], *, settings: dict[str, Any], note: Note
) -> int:
    """Appends a release, which makes it the live one."""
    values = {**versions, "settings": json.dumps(settings, default=str)}
    return connection.execute(
        _INSERT_RELEASE, {**values, "actor": note.actor, "reason": note.reason}
    ).scalar_one()


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


def move_of_decision(connection: Connection, model_name: str, decision_id: int) -> Move | None:
    """What was done about a gate's decision, if it was done."""
    row = connection.execute(
        _MOVE_OF_DECISION, {"model_name": model_name, "decision_id": decision_id}
    ).one_or_none()
    return Move(*row) if row else None


def decision(connection: Connection, decision_id: int) -> Any:
    """A gate's decision: model_name, challenger_version, champion_version, verdict, reason."""
    return connection.execute(_DECISION, {"id": decision_id}).one_or_none()


def count_unembedded(connection: Connection, *, library_version: int, retriever: int) -> int:
    """Active guidelines of a library version without a vector of a retriever version."""
    return connection.execute(
        _UNEMBEDDED, {"library": library_version, "retriever": retriever}
    ).scalar_one()


def live_version(release: Release | None, model_name: str) -> int:
    """Version of a model in a release; the untrained base where nothing is served yet."""
    if release is None:
        return UNTRAINED_VERSION
    versions = {
        RETRIEVER_MODEL: release.retriever_version,
        LABRADOR_MODEL: release.labrador_version,
    }
    return versions[model_name]
