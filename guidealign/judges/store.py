"""SQL of labelled rows and of the verdicts about trained judges."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields, replace
from itertools import chain
from typing import Any

from sqlalchemy import Connection, text

from guidealign.judges.model import PACKAGE_LABELLER, TASKS, LabelledRow

_COLUMNS = tuple(field.name for field in fields(LabelledRow))
_NAMES = ", ".join(_COLUMNS)
_INSERT = text(
    f"insert into core.labelled_answers ({_NAMES}) values ("  # noqa: S608
    + ", ".join(f":{name}" for name in _COLUMNS)
    + ")"
)
_READ = text(
    f"select {_NAMES} from core.labelled_answers"  # noqa: S608
    " order by labeller <> :package, id"
)
_LOCK = text("select pg_advisory_xact_lock(hashtext('guidealign.labelled_answers'))")
_VERDICT = text(
    "insert into core.judge_verdicts (version, champion_version, promoted, reason, fingerprint,"
    " reports) values (:version, :champion_version, :promoted, :reason, :fingerprint,"
    " cast(:reports as jsonb))"
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
    """Stores rows that are not there, or not what their labeller said last; returns how many."""
    connection.execute(_LOCK)
    stored: set[str] = set()
    said: dict[tuple[object, ...], bool] = {}
    new: list[LabelledRow] = []
    for row, given in chain(((r, False) for r in _read(connection)), ((r, True) for r in rows)):
        labels = {(*_key(row), row.labeller, task): yes for task, yes in _labels(row).items()}
        if given and row.digest in stored and labels.items() <= said.items():
            continue
        if given:
            new.append(row)
        stored.add(row.digest)
        said |= labels
    if new:
        connection.execute(
            _INSERT, [{**asdict(row), "guidelines": list(row.guidelines)} for row in new]
        )
    return len(new)


def read_rows(connection: Connection) -> list[LabelledRow]:
    """All rows; later labels of one count, and anybody's before the package's."""
    merged: dict[tuple[object, ...], LabelledRow] = {}
    for row in _read(connection):
        merged[_key(row)] = replace(merged.get(_key(row), row), **_labels(row))
    return list(merged.values())


def _read(connection: Connection) -> Iterator[LabelledRow]:
    """The package's rows, then all others, each as they came."""
    for read in connection.execute(_READ, {"package": PACKAGE_LABELLER}):
        yield LabelledRow(**{**read._asdict(), "guidelines": tuple(read.guidelines)})


def _key(row: LabelledRow) -> tuple[object, ...]:
    return row.prompt, row.answer, row.guidelines


def _labels(row: LabelledRow) -> dict[str, Any]:
    """What is known, by task."""
    return {task: row.label(task) for task in TASKS if row.label(task) is not None}


def add_verdict(connection: Connection, values: dict[str, Any]) -> None:
    """Stores what became of a version beside a champion, unless the newest verdict says so."""
    newest = verdict(connection)
    if newest is None or {**newest, **values} != newest:
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
