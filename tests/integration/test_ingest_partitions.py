"""A partition is read whole, in any order, as often as wanted: the second time changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from guidealign.errors import BadInputError
from guidealign.ingest import (
    IngestResult,
    Partition,
    SourceSpec,
    bundled_inbox,
    file_source,
    inbox_source,
    ingest_source,
    partition_of,
    prune_inbox,
)
from guidealign.settings import InboxSettings, Settings
from tests.integration.gateway_fixture import make_key

DAY = datetime(2026, 10, 1, tzinfo=UTC)
_TABLES = ("inputs", "ingest_batches", "ingest_watermarks", "rejects", "input_bands")


def _day(number: int) -> Partition:
    return Partition(DAY + timedelta(days=number), DAY + timedelta(days=number + 1))


def _fill_inbox(engine: Engine, per_day: dict[int, list[str]]) -> None:
    key = make_key(engine, log="all").key_id
    with engine.begin() as connection:
        for number, texts in per_day.items():
            for i, words in enumerate(texts):
                connection.execute(
                    text(
                        "insert into core.inbox (response_id, key_id, text, occurred_at, logged_at)"
                        " values (:id, :key, :text, :at, :at)"
                    ),
                    {
                        "id": f"r{number}-{i}",
                        "key": key,
                        "text": words,
                        "at": DAY + timedelta(days=number, hours=i),
                    },
                )


def _read(engine: Engine, number: int) -> IngestResult:
    spec = partition_of(inbox_source(), _day(number))
    return ingest_source(spec, engine=engine, settings=Settings())


def _everything(engine: Engine) -> dict[str, list[tuple]]:
    with engine.connect() as connection:
        return {
            table: sorted(
                tuple(map(str, row))
                for row in connection.execute(text(f"select * from core.{table}"))
            )
            for table in _TABLES
        }


def test_thirty_days_of_the_inbox_read_twice(engine: Engine) -> None:
    # Each day one input of its own, one that every day repeats, and one that is too long.
    _fill_inbox(
        engine,
        {n: [f"What is safe on day {n}?", "Again and again?", "x" * 9_000] for n in range(30)},
    )
    first = [_read(engine, number) for number in range(30)]
    assert [result.n_read for result in first] == [3] * 30
    assert sum(result.n_new for result in first) == 31
    assert sum(result.n_rejected for result in first) == 30
    before = _everything(engine)
    assert len(before["rejects"]) == 30
    second = [_read(engine, number) for number in reversed(range(30))]
    assert all(result.n_new == 0 and result.batch_id is None for result in second)
    assert _everything(engine) == before


def test_a_query_is_cut_by_the_time_of_its_inputs(engine: Engine, database_url: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("create table questions (id int, q text, asked timestamptz)"))
        for number in range(4):
            connection.execute(
                text("insert into questions values (:n, :q, :at)"),
                {"n": number, "q": f"Is {number} odd?", "at": DAY + timedelta(hours=12 * number)},
            )
    source = SourceSpec(
        kind="sql",
        uri=database_url,
        name="sql:mine",
        query="select * from questions;",
        text_field="q",
        time_field="asked",
        watermark_field="id",
    )
    spec = partition_of(source, _day(1))
    for n_new in (2, 0):
        result = ingest_source(spec, engine=engine, settings=Settings())
        assert (result.n_read, result.n_new) == (2, n_new)
    with engine.connect() as connection:
        rows = connection.execute(text("select text, occurred_at from core.inputs order by id"))
        assert [tuple(row) for row in rows] == [
            ("Is 2 odd?", DAY + timedelta(hours=24)),
            ("Is 3 odd?", DAY + timedelta(hours=36)),
        ]


def test_what_a_partition_read_may_be_pruned_and_nothing_else(engine: Engine) -> None:
    _fill_inbox(engine, {0: ["Read and old?"], 1: ["Old, and not read?"]})
    _read(engine, 0)
    settings = Settings(inbox=InboxSettings(retention_days=1))
    assert prune_inbox(engine=engine, settings=settings) == 1
    with engine.connect() as connection:
        left = connection.execute(text("select text from core.inbox")).scalars().all()
    assert left == ["Old, and not read?"]


def test_what_cannot_be_cut_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be read by partition"):
        partition_of(file_source(bundled_inbox()), _day(0))
    query = SourceSpec(kind="sql", uri="postgresql://x/y", name="sql:x", query="select 1")
    with pytest.raises(BadInputError, match="set time_field"):
        partition_of(query, _day(0))
    with pytest.raises(BadInputError, match="ends before it starts"):
        partition_of(inbox_source(), Partition(DAY, DAY))


@hypothesis_settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_any_order_of_readings_comes_to_the_same_inputs(engine: Engine, order: list[int]) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "truncate core.inbox, core.inputs, core.ingest_batches,"
                " core.ingest_watermarks, core.gateway_keys cascade"
            )
        )
    _fill_inbox(engine, {n: [f"Is day {n} over?", "Is it over?"] for n in range(4)})
    for number in order:
        _read(engine, number)
    with engine.connect() as connection:
        texts = set(connection.execute(text("select text from core.inputs")).scalars())
    assert texts == {f"Is day {n} over?" for n in order} | {"Is it over?"}
