"""Marks of queries: values that late rows can be above, and no others."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from guidealign.ingest import SourceSpec
from guidealign.ingest._queries import least_mark, mark_of
from guidealign.ingest._sources import open_source
from guidealign.settings import IngestSettings

_NOW = datetime.now(UTC)
_FIRST = datetime(1, 1, 1, tzinfo=UTC)


def _named(value: Any) -> str:
    """A name that is the same whenever it is asked for: test processes compare their lists."""
    if isinstance(value, datetime) and value.year < 9999:
        hours = round((value.replace(tzinfo=UTC) - _NOW).total_seconds() / 3600)
        return f"{hours:+} h, {'with' if value.tzinfo else 'no'} zone"
    if isinstance(value, date) and not isinstance(value, datetime) and value.year < 9999:
        return f"{(value - _NOW.date()).days:+} days"
    return str(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        float("nan"),
        float("inf"),
        float("-inf"),
        Decimal("NaN"),
        Decimal("Infinity"),
        datetime(9999, 12, 31, tzinfo=UTC),
        datetime(9999, 12, 31),  # noqa: DTZ001 - as databases give times without a zone
        _NOW + timedelta(days=2),
        (_NOW + timedelta(days=3)).date(),
        date.max,
    ],
    ids=_named,
)
def test_what_no_later_row_is_above_is_no_mark(value: Any) -> None:
    assert mark_of(value, "at") is None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (10**30, "number"),
        (Decimal("1.5"), "number"),
        (_NOW + timedelta(hours=14), "time"),
        (_NOW.replace(tzinfo=None), "time"),
        (_NOW.date(), "date"),
    ],
    ids=_named,
)
def test_what_grows_is_a_mark(value: Any, kind: str) -> None:
    assert (mark_of(value, "at") or {})["kind"] == kind


@pytest.mark.parametrize("value", [date.min, _FIRST, _FIRST.replace(tzinfo=None)], ids=repr)
def test_nothing_is_read_from_before_the_calendar(value: date) -> None:
    assert least_mark(mark_of(value, "at") or {}, 1e6) == value


def test_a_mark_of_sqlite_is_a_parameter_that_it_takes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'asked.db'}"
    with create_engine(url).begin() as connection:
        connection.exec_driver_sql("create table asked (at real, text text)")
        connection.exec_driver_sql("insert into asked values (1.5, 'one?'), (2000.5, 'two?')")
    spec = SourceSpec(
        kind="sql", uri=url, name="sql:asked", query="select * from asked", watermark_field="at"
    )
    begun = open_source(spec, None, settings=IngestSettings(), engine=None)
    mark = begun.mark_behind(list(begun.records()))
    assert mark["value"] == 2000.5
    rest = open_source(spec, mark, settings=IngestSettings(), engine=None)
    # 1,000 units below the mark, and no further.
    assert [record.text for record in rest.records()] == ["two?"]  # type: ignore[union-attr]
