"""Times of PostgreSQL that Python cannot say, such as `infinity` and years BC, come as null."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, cast

from psycopg import Connection, DataError
from psycopg.abc import Buffer
from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader


class _Date(DateLoader):
    def load(self, data: Buffer) -> date:
        try:
            return super().load(data)
        except (DataError, ValueError):
            return cast("date", None)


class _Timestamp(TimestampLoader):
    def load(self, data: Buffer) -> datetime:
        try:
            return super().load(data)
        except (DataError, ValueError):
            return cast("datetime", None)


class _Timestamptz(TimestamptzLoader):
    def load(self, data: Buffer) -> datetime:
        try:
            return super().load(data)
        except (DataError, ValueError):
            return cast("datetime", None)


def read_leniently(connection: Connection[Any]) -> None:
    """Lets one such time in a row cost that time, not the rows around it."""
    for name, loader in (("date", _Date), ("timestamp", _Timestamp), ("timestamptz", _Timestamptz)):
        connection.adapters.register_loader(name, loader)
