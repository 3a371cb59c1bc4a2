"""SQL of labelled rows and of the verdicts about trained judges."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from typing import Any

from sqlalchemy import Connection, text

from guidealign.judges.model import TASKS, LabelledRow

_COLUMNS = tuple(field.name for field in fields(LabelledRow))
_NAMES = ", ".join(_COLUMNS)
_INSERT = text(
    f"insert into core.labelled_answers (digest, {_NAMES}) values (:digest, "  # noqa: S608
    + ", ".join(f":{name}" for name in _COLUMNS)
    + ") on conflict (digest) do nothing"
)
_READ = text(f"select {_NAMES} from core.labelled_answers order by id")  # noqa: S608
_VERDICT = text(
    "insert into core.judge_verdicts (version, champion_version, promoted, reason, fingerprint,"
    " reports) values (:version, :champion_version, :promoted, :reason, :fingerprint,"
    " cast(:reports as jsonb)) on conflict (version, champion_version) do nothing"
)
_CHAMPION = text("select version from core.judge_verdicts where promoted order by id desc limit 1")
_NEWEST = text(
    "select version, champion_version, promoted, reason, fingerprint, reports, created_at"
    " from core.judge_verdicts order by id desc limit 1"
)
_OF_VERSION = text(
    "select version, champion_version, promoted, reason, fingerprint, reports, created_at"
    " from core.judge_verdicts where version = :version order by id desc limit 1"
)


def add_rows(connection: Connection, rows: Iterable[LabelledRow]) -> int:
    """Stores rows that are not there yet; returns how many were new."""
    values = [
        {**asdict(row), "guidelines": list(row.guidelines), "digest": row.digest} for row in rows
    ]
    before = count_rows(connection)
    if values:
        connection.execute(_INSERT, values)
    return count_rows(connection) - before


def count_rows(connection: Connection) -> int:
    """How many rows there are."""
    query = text("select count(*) from core.labelled_answers")
    return int(connection.execute(query).scalar_one())


def read_rows(connection: Connection) -> list[LabelledRow]:
    """All rows; of one that was labelled again, the later labels count."""
    merged: dict[tuple[str, str, tuple[str, ...]], LabelledRow] = {}
    for read in connection.execute(_READ):
        row = LabelledRow(**{**read._asdict(), "guidelines": tuple(read.guidelines)})
        key = (row.prompt, row.answer, row.guidelines)
        if key in merged:
            known = (task for task in TASKS if row.label(task) is not None)
            labels: dict[str, Any] = {task: row.label(task) for task in known}
            row = replace(merged[key], **labels)
        merged[key] = row
    return list(merged.values())


def add_verdict(connection: Connection, values: dict[str, Any]) -> None:
    """Stores what became of a version beside a champion, once."""
    connection.execute(_VERDICT, {**values, "reports": json.dumps(values["reports"])})


def champion(connection: Connection) -> int | None:
    """The version that was promoted last; None: none was."""
    found: int | None = connection.execute(_CHAMPION).scalar_one_or_none()
    return found


def verdict(connection: Connection, version: int | None = None) -> dict[str, Any] | None:
    """The last verdict about a version, or of all; None: there is none."""
    query = _NEWEST if version is None else _OF_VERSION
    values = {} if version is None else {"version": version}
    row = connection.execute(query, values).one_or_none()
    return None if row is None else dict(row._asdict())
