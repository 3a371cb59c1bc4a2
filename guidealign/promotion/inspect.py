"""Looking at what is served and why: champions, gates, moves, where a model comes from.

Everything is read from schema `library`, so a person with psql sees the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, text

from guidealign.db import guard_database
from guidealign.errors import BadInputError

_MOVES = text(
    "select id, created_at, model_name, action, from_version, to_version, actor, reason,"
    " gate_decision_id, release_id from library.promotions order by id desc limit :most"
)
_DECISIONS = text(
    "select id, created_at, model_name, challenger_version, champion_version, verdict, reason,"
    ' "check", outcome, n, difference, ci_low, ci_high, power from library.gate_history'
    " where id in (select distinct id from library.gate_history order by id desc limit :most)"
    ' order by id desc, "check"'
)
_LINEAGE = text(
    "select l.model_name, l.version, l.base_model, l.library_version, l.dataset_id,"
    " l.retriever_version, l.data_digest, l.mlflow_run_id, l.created_at,"
    " v.n_active as n_guidelines, v.published_by"
    " from library.model_lineage l left join library.versions v on v.version = l.library_version"
    " order by l.model_name, l.version desc"
)
_STEPS = text(
    "select place, step, id, n, detail, actor, happened_at from library.lineage"
    " where model_name = :model and version = :version order by place, happened_at, id"
)


@dataclass(frozen=True, kw_only=True)
class MoveRow:
    """A step of the ledger: promoted, held, rolled back."""

    id: int
    created_at: datetime
    model_name: str
    action: str
    from_version: int
    to_version: int
    actor: str
    reason: str
    gate_decision_id: int | None
    release_id: int | None


@dataclass(frozen=True, kw_only=True)
class CheckRow:
    """One check of a gate: challenger minus champion."""

    name: str
    outcome: str
    n: int | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    power: float | None


@dataclass(frozen=True, kw_only=True)
class DecisionRow:
    """What a gate decided."""

    id: int
    created_at: datetime
    model_name: str
    challenger_version: int
    champion_version: int
    verdict: str
    reason: str
    checks: list[CheckRow] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class LineageRow:
    """What a registered version was made of."""

    model_name: str
    version: int
    base_model: str | None
    library_version: int | None
    dataset_id: int | None
    retriever_version: int | None
    data_digest: str | None
    mlflow_run_id: str | None
    created_at: datetime
    n_guidelines: int | None
    published_by: str | None


@dataclass(frozen=True, kw_only=True)
class LineageStep:
    """One step between the inputs and what became of a model."""

    place: int
    """Of the step, from 1: the inputs."""
    step: str
    """inputs, guidelines, library, retriever, data set, training, gate or switch."""
    id: str | None
    n: int | None
    detail: str | None
    actor: str | None
    happened_at: datetime | None


def recent_moves(*, engine: Engine, most: int = 50) -> list[MoveRow]:
    """The ledger of the switch, newest first."""
    with guard_database(), engine.connect() as connection:
        return [MoveRow(**r) for r in connection.execute(_MOVES, {"most": most}).mappings()]


def recent_decisions(*, engine: Engine, most: int = 10) -> list[DecisionRow]:
    """What the gates decided, newest first, with every check."""
    with guard_database(), engine.connect() as connection:
        rows = connection.execute(_DECISIONS, {"most": most}).mappings().all()
    return _grouped(rows)


def model_lineage(*, engine: Engine) -> list[LineageRow]:
    """Every registered version with what it was made of, newest first within each model."""
    with guard_database(), engine.connect() as connection:
        return [LineageRow(**row) for row in connection.execute(_LINEAGE).mappings()]


def lineage_steps(model_name: str, version: int, *, engine: Engine) -> list[LineageStep]:
    """A registered version from the inputs it came from to what was decided about it.

    Raises:
        BadInputError: no such version was registered.
    """
    given = {"model": model_name, "version": version}
    with guard_database(), engine.connect() as connection:
        steps = [LineageStep(**row) for row in connection.execute(_STEPS, given).mappings()]
    if not steps:
        raise BadInputError(f"there is no version {version} of {model_name}")
    return steps


def _grouped(rows: Sequence[Any]) -> list[DecisionRow]:
    found: dict[int, DecisionRow] = {}
    of_check = ("outcome", "n", "difference", "ci_low", "ci_high", "power")
    for row in rows:
        values = dict(row)
        check = {"name": values.pop("check")} | {name: values.pop(name) for name in of_check}
        decision = found.setdefault(values["id"], DecisionRow(**values))
        if check["name"] is not None:
            decision.checks.append(CheckRow(**check))
    return list(found.values())
