"""Views and functions: one file each, applied anew when the file has changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from graphlib import TopologicalSorter
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from guidealign.errors import PermanentError

_IN_THE_WAY = {"42P16", "42P13", "2BP01"}
"""SQLSTATEs: invalid table definition, invalid function definition, dependent objects exist."""
_QUOTED = re.compile(r"--[^\n]*|'(?:[^']|'')*'")
_FIND_TABLE = text("select to_regclass('core.repeatables') is not null")
_MAKE_TABLE = (
    "create table core.repeatables (name text not null, digest text not null,"
    " constraint pk_repeatables primary key (name))",
    "comment on table core.repeatables is 'Views and functions as they were last made.'",
    "comment on column core.repeatables.digest is 'SHA-256 of the file; empty: made by a revision'",
    # What a database of before this table holds, so that what the code no longer has is dropped.
    "insert into core.repeatables select relnamespace::regnamespace || '.' || relname, ''"
    " from pg_class where relnamespace = 'library'::regnamespace and relkind = 'v'"
    " union select pronamespace::regnamespace || '.' || proname, '' from pg_proc"
    " where pronamespace in ('library'::regnamespace, 'core'::regnamespace)"
    " and proname !~ '^nearest_(curation|[0-9]+)$'",
)
_KNOWN = text("select name, digest from core.repeatables")
_FORGET = text("delete from core.repeatables")
_REMEMBER = text("insert into core.repeatables (name, digest) values (:name, :digest)")
_VIEWS = text(
    "select oid::regclass::text from pg_class"
    " where relkind = 'v' and relnamespace::regnamespace || '.' || relname = any (:names)"
)
# A trigger's function has no dependents but its triggers, and is always replaced in place.
_FUNCTIONS = text(
    "select oid::regprocedure::text from pg_proc where prorettype <> 'trigger'::regtype"
    " and pronamespace::regnamespace || '.' || proname = any (:names)"
)
_ROWS = text(
    "select oid::regprocedure::text, xmin::text from pg_proc"
    " where pronamespace::regnamespace || '.' || proname = :name"
)
_NOT_FOR_ALL = text("revoke all on all functions in schema core, library from public")


def apply_repeatables(connection: Connection, folder: Path) -> None:
    """Makes every view and function what its file says; within the caller's transaction.

    What changed is replaced in place, which keeps rights that somebody granted by hand and views
    that somebody built on top. Where PostgreSQL refuses that (columns of a view that changed,
    another result of a function), all are dropped and made anew.

    Args:
        connection: as the owner of the schema, one `migrate` at a time.
        folder: `migrations/sql`, with its folders `functions` and `views`.

    Raises:
        PermanentError: what is not ours stands on a view or function that has to be dropped.
    """
    known = _known(connection)
    files = _files(folder)
    digests = _digests(files)
    if digests == known:
        return
    changed = {name: sql for name, sql in files.items() if digests[name] != known.get(name)}
    try:
        with connection.begin_nested():
            _drop(connection, known.keys() - files.keys())
            _make(connection, changed)
    except DBAPIError as error:
        if _code(error) not in _IN_THE_WAY:
            raise
        _drop_all(connection, known.keys() | files.keys())
        _make(connection, files)
    connection.execute(_NOT_FOR_ALL)
    connection.execute(_FORGET)
    connection.execute(_REMEMBER, [{"name": n, "digest": d} for n, d in digests.items()])


def drop_repeatables(connection: Connection) -> None:
    """For a revision that changes what views read: all go, and the same `migrate` makes them."""
    _drop_all(connection, _known(connection).keys())
    connection.execute(_FORGET)


def are_applied(connection: Connection, folder: Path) -> bool:
    """Whether every view and function is what its file says, as far as `migrate` knows."""
    made = connection.execute(_FIND_TABLE).scalar_one()
    return made and _known(connection) == _digests(_files(folder))


def _digests(files: dict[str, str]) -> dict[str, str]:
    return {name: hashlib.sha256(sql.encode()).hexdigest() for name, sql in files.items()}


def _known(connection: Connection) -> dict[str, str]:
    """Digests of what the database holds, by name."""
    if not connection.execute(_FIND_TABLE).scalar_one():
        for statement in _MAKE_TABLE:
            connection.exec_driver_sql(statement)
    return {row.name: row.digest for row in connection.execute(_KNOWN)}


def _files(folder: Path) -> dict[str, str]:
    """SQL by the object's name, each behind those that it names."""
    files = {
        path.stem: path.read_text(encoding="utf-8")
        for kind in ("functions", "views")
        for path in sorted((folder / kind).glob("*.sql"))
    }
    known = re.compile(rf"\b(?:{'|'.join(map(re.escape, files))})\b")
    # What only a comment names does not have to be there.
    named = {name: set(known.findall(_QUOTED.sub("", sql))) - {name} for name, sql in files.items()}
    return {name: files[name] for name in TopologicalSorter(named).static_order()}


def _make(connection: Connection, files: dict[str, str]) -> None:
    for name, sql in files.items():
        before = _rows(connection, name)
        connection.exec_driver_sql(sql, execution_options={"no_parameters": True})
        # Untouched by its own file: with its other parameters it would stay beside the new one.
        for signature, _ in before & _rows(connection, name):
            connection.exec_driver_sql(f"drop function {signature}")


def _rows(connection: Connection, name: str) -> set[tuple[str, str]]:
    """Functions of a name, each with the transaction that wrote it."""
    return {(row[0], row[1]) for row in connection.execute(_ROWS, {"name": name})}


def _drop(connection: Connection, names: Iterable[str]) -> None:
    """Drops views and functions together: among themselves their order does not matter."""
    for kind, query in (("view", _VIEWS), ("function", _FUNCTIONS)):
        if found := connection.execute(query, {"names": list(names)}).scalars().all():
            connection.exec_driver_sql(f"drop {kind} {', '.join(found)}")


def _drop_all(connection: Connection, names: Iterable[str]) -> None:
    try:
        _drop(connection, names)
    except DBAPIError as error:
        if _code(error) not in _IN_THE_WAY:
            raise
        found = str(error.orig.diag.message_detail).splitlines()[0]  # type: ignore[union-attr]
        raise PermanentError(
            f"views are to be made anew, and what is not guidealign's stands on one of them"
            f" ({found}): drop that, migrate, and make it again"
        ) from error


def _code(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)
