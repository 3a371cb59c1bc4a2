"""Queries as people write them: run as written, each with its own mark, each row once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.dialects import postgresql

from guidealign.errors import BadInputError
from guidealign.ingest import IngestResult, SourceSpec, ingest_source
from guidealign.ingest._queries import as_written
from guidealign.ingest._query_text import layout_free, statement_of
from guidealign.settings import IngestSettings, Settings

_MADE = (
    "create table public.asked (id bigint generated always as identity, question text,"
    """ "askedAt" timestamptz default clock_timestamp(), meta jsonb default '{"deleted":false}',"""
    " u uuid default uuidv7(), v4 uuid default gen_random_uuid(), n numeric, f float8,"
    " d date default current_date, raw bytea default 'x', span interval default '1 day')"
)
_WORDS = ["apple", "bridge", "candle", "donkey", "engine", "falcon", "garden", "hammer"]


@pytest.fixture(autouse=True)
def asked(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(_MADE)


def _ask(engine: Engine, *words: str) -> None:
    with engine.begin() as connection:
        for word in words:
            connection.execute(
                text("insert into asked (question, n, f) values (:q, :n, :n)"),
                {"q": f"Where is the {word} of {word} town: at 10:30 :foo 100%?", "n": len(word)},
            )


def _read(
    engine: Engine, url: str, query: str = "select * from asked", mark: str | None = None,
    settings: Settings | None = None, **options: object,
) -> IngestResult:  # fmt: skip
    spec = SourceSpec(
        kind="sql", uri=url, name="sql:warehouse", text_field="question", query=query,
        watermark_field=mark, **options,
    )  # fmt: skip
    return ingest_source(spec, engine=engine, settings=settings or Settings())


def _new(engine: Engine, url: str, mark: str, **options: object) -> int:
    return _read(engine, url, mark=mark, **options).n_new


@pytest.mark.parametrize("mark", [None, "id", "askedAt"])
@pytest.mark.parametrize(
    "condition",
    [
        """where meta @> '{"deleted":false}'""",
        "where question like '%:foo%'",
        "where question like '%10:30%'",
        "where question ~ '(?:town|city)'",
        r"where question ~ '\d:\d'",
        "where question like '%100!%%' escape '!'",
        "where id::int % 1 = 0",
        "-- all of them",
        "where true /* : % */;",
        ";  -- a comment behind the end",
        "order by id desc limit 9",
    ],
)
def test_a_query_runs_as_it_is_written(
    engine: Engine, database_url: str, condition: str, mark: str | None
) -> None:
    _ask(engine, *_WORDS[:2])
    query = f"select * from asked {condition}"
    assert _read(engine, database_url, query, mark).n_new == 2
    _ask(engine, _WORDS[2])
    assert _read(engine, database_url, query, mark).n_new == 1


@given(st.text(st.sampled_from(":%\\'\"ab{}()?-/*;$ \n"), max_size=30))
def test_nothing_in_a_query_is_a_parameter(query: str) -> None:
    compiled = text(as_written(query)).compile(dialect=postgresql.psycopg.dialect())
    assert compiled.params == {}
    assert str(compiled).replace("%%", "%") == query


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("select id, meta as question, question from asked", "2 columns 'question'"),
        ("select id from asked", "no column 'question'"),
        ("insert into asked (question) values ('Is this written?') returning *", "failed"),
        ("set statement_timeout = 1000; select * from asked", "failed"),
        ("select nextval('asked_id_seq') as question", "read-only"),
    ],
)
def test_what_does_not_go_is_one_sentence(
    engine: Engine, database_url: str, query: str, message: str
) -> None:
    with pytest.raises(BadInputError, match=message):
        _read(engine, database_url, query)
    with engine.connect() as connection:
        assert connection.execute(text("select count(*) from asked")).scalar_one() == 0


def test_a_query_that_takes_too_long_is_given_up(engine: Engine, database_url: str) -> None:
    settings = Settings(ingest=IngestSettings(query_timeout_s=0.2))
    with pytest.raises(BadInputError, match="statement timeout"):
        _read(engine, database_url, "select pg_sleep(20)::text as question", settings=settings)


def test_two_queries_on_one_connection_keep_two_marks(engine: Engine, database_url: str) -> None:
    _ask(engine, *_WORDS)
    with engine.begin() as connection:
        connection.exec_driver_sql("create table other as select 1 as id, 'Who else?' as question")
    assert _new(engine, database_url, "id") == len(_WORDS)
    assert _read(engine, database_url, "select * from other", "id").n_new == 1
    wider = "select * from asked where id < 3"
    assert _read(engine, database_url, wider, "id").n_read == 2


def test_layout_makes_no_other_query(engine: Engine, database_url: str) -> None:
    _ask(engine, *_WORDS)
    assert _read(engine, database_url, "select * from asked", "id", look_back=0).n_read == 8
    again = "select *  -- all\n  from asked /* every one */ ;\n"
    # The row of the mark is read again, since another may have come with the same value.
    assert _read(engine, database_url, again, "id", look_back=0).n_read == 1


@pytest.mark.parametrize("mark", ["id", "askedAt", "u", "d", "n", "f", "question"])
def test_marks_of_every_type_that_grows(engine: Engine, database_url: str, mark: str) -> None:
    _ask(engine, *_WORDS[:3])
    assert _new(engine, database_url, mark) == 3
    assert _new(engine, database_url, mark) == 0
    _ask(engine, "zebra crossing")
    assert _new(engine, database_url, mark) == 1


@pytest.mark.parametrize(
    ("mark", "message"), [("v4", "random UUIDs"), ("raw", "bytes"), ("span", "timedelta")]
)
def test_a_column_that_cannot_be_a_mark_is_named(
    engine: Engine, database_url: str, mark: str, message: str
) -> None:
    _ask(engine, *_WORDS[:2])
    with pytest.raises(BadInputError, match=f"'{mark}'.*{message}|{message}.*'{mark}'"):
        _read(engine, database_url, mark=mark)


@pytest.mark.parametrize("mark", ["id", "askedAt", "u"])
def test_a_row_that_is_committed_late_arrives(engine: Engine, database_url: str, mark: str) -> None:
    with engine.connect() as slow:
        slow.execute(text("insert into asked (question) values ('Who comes late?')"))
        _ask(engine, *_WORDS[:2])
        assert _new(engine, database_url, mark) == 2
        slow.commit()
    assert _new(engine, database_url, mark) == 1
    assert _new(engine, database_url, mark) == 0


def test_rows_without_a_mark_arrive(engine: Engine, database_url: str) -> None:
    _ask(engine, *_WORDS[:2])
    nulls = "select nullif(id, 2) as id, question from asked"
    assert _read(engine, database_url, nulls, "id").n_new == 2
    later = (
        "select case when question like '%late%' then null else id end as id, question from asked"
    )
    assert _read(engine, database_url, later, "id", look_back=0).n_read == 2
    with engine.begin() as connection:
        connection.execute(text("insert into asked (question) values ('Am I late?')"))
    assert _read(engine, database_url, later, "id", look_back=0).n_new == 1


@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamptz"])
@pytest.mark.parametrize("never", ["infinity", "-infinity", "0044-03-15 BC"])
def test_a_time_that_python_cannot_say_costs_no_row(
    engine: Engine, database_url: str, kind: str, never: str
) -> None:
    _ask(engine, *_WORDS[:3])
    query = f"select question, case id when 2 then '{never}' else '2025-11-24' end::{kind} as at"
    query += " from asked"
    assert _read(engine, database_url, query, "at", time_field="at").n_new == 3
    with engine.connect() as connection:
        times = connection.execute(text("select count(occurred_at) from core.inputs")).scalar_one()
    assert times == 2
    _ask(engine, _WORDS[3])
    assert _read(engine, database_url, query, "at", look_back=0).n_new == 1


def test_a_table_that_is_filled_anew_is_read_anew(engine: Engine, database_url: str) -> None:
    _ask(engine, *_WORDS)
    assert _read(engine, database_url, mark="id", look_back=0).n_new == 8
    with engine.begin() as connection:
        connection.exec_driver_sql("truncate asked restart identity")
    _ask(engine, "violin", "window")
    found = _read(engine, database_url, mark="id", look_back=0)
    assert (found.n_read, found.n_new) == (2, 2)
    assert "filled anew" in found.notes[0]


def test_a_row_without_a_mark_hides_no_table_that_is_filled_anew(
    engine: Engine, database_url: str
) -> None:
    _ask(engine, *_WORDS)
    query = "select case when question like '%violin%' then null else id end as id, question"
    query += " from asked"
    assert _read(engine, database_url, query, "id", look_back=0).n_new == 8
    with engine.begin() as connection:
        connection.exec_driver_sql("truncate asked restart identity")
    _ask(engine, "violin", "window")
    found = _read(engine, database_url, query, "id", look_back=0)
    assert found.n_new == 2
    assert "filled anew" in found.notes[0]


def test_a_reject_that_is_read_again_is_one_reject(engine: Engine, database_url: str) -> None:
    _ask(engine, *_WORDS[:2])
    with engine.begin() as connection:
        connection.execute(text("insert into asked (question) values (' '), (null)"))
    for _ in range(3):
        assert _read(engine, database_url, mark="id").n_rejected == 2
    with engine.connect() as connection:
        assert connection.execute(text("select count(*) from core.rejects")).scalar_one() == 2


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("select 1", "  select\n\t1 ; -- one", True),
        ("select '-- a'", "select '-- b'", False),
        ("select 'a  b'", "select 'a b'", False),
        ("select $x$ -- a $x$", "select $x$ -- b $x$", False),
        (r"select E'it\'s  a'", r"select E'it\'s a'", False),
        (r"select e'\' -- a'", r"select e'\' -- b'", False),
        ("select 'E'' -- a'", "select 'E'' -- b'", False),
        (r"select some'\' /* a */ + 1", r"select some'\' /* b */ + 1", True),
        ("select 1 /* a */ + 1", "select 1 + 1", True),
        ('select "a--b"', 'select "a"', False),
    ],
)
def test_layout(one: str, other: str, same: bool) -> None:
    assert (layout_free(one) == layout_free(other)) is same
    assert statement_of(f"{one} ; -- end") == one.strip()
