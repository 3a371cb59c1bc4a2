"""What is live: read by every room that answers or trains, written by promotion alone."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, text

from guidealign.db.engine import guard_database
from guidealign.records import Release

_COLUMNS = "id, library_version, retriever_version, labrador_version, prompt_version"
_LATEST = text(f"select {_COLUMNS} from core.releases order by id desc limit 1")  # noqa: S608
_BY_ID = text(f"select {_COLUMNS} from core.releases where id = :id")  # noqa: S608


def latest_release(connection: Connection) -> Release | None:
    """What is live; None: nothing was ever served."""
    row = connection.execute(_LATEST).one_or_none()
    return _release(row) if row else None


def release_by_id(connection: Connection, release_id: int) -> Release:
    """One release of the ledger."""
    return _release(connection.execute(_BY_ID, {"id": release_id}).one())


def current_release(engine: Engine) -> Release | None:
    """What is live, in a connection of its own.

    Raises:
        ServiceUnavailableError: the database does not answer.
    """
    with guard_database(), engine.connect() as connection:
        return latest_release(connection)


def _release(row: Any) -> Release:
    return Release(
        release_id=row.id,
        library_version=row.library_version,
        retriever_version=row.retriever_version,
        labrador_version=row.labrador_version,
        prompt_version=row.prompt_version,
    )
