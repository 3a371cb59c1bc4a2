"""Common questions read what they need of a big library, and not all of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, text

from guidealign.library import BrowseFilter, browse_guidelines

BIG = {"guidelines", "inputs", "pairs", "assessments", "retrievals", "guideline_events",
       "gateway_retrieval_counts"}  # fmt: skip
_N = 20_000
_FILL = f"""
set local session_replication_role = replica;
insert into core.library_versions (version, digest, n_active, n_added, n_retired, note,
                                   published_by)
select v, 'd', 0, 0, 0, 'n', 't' from generate_series(1, 200) v;
insert into core.inputs (text_hash, text, redacted_text, source)
select 'i' || n, 'input ' || n, 'input ' || n, 'chat' from generate_series(1, {_N}) n;
insert into core.assessments (input_id, unsafe_content, may_trigger_unsafe, categories, severity,
                              rationale, model, prompt_version)
select n, n % 3 = 0, false, '{{Insult}}', n % 4, 'r', 'm', 'p' from generate_series(1, {_N}) n;
insert into core.guidelines (text_hash, title, text, category, origin, state, served, words,
                             merged_into, merge_score)
select 'g' || n, 'Title ' || n, repeat('Some words of guideline ' || n || '. ', 5),
       (select array_agg(name order by name) from core.risk_categories)[1 + n % 19], 'model', s,
       case when s = 'active' then '{{[1,)}}'::int4multirange else '{{}}' end,
       case when s = 'active' then to_tsvector('english', 'Title ' || n) end,
       case when s = 'merged' then n - 1 end, case when s = 'merged' then 0.95 end
  from generate_series(1, {_N}) n
  cross join lateral (select case when n % 10 < 8 then 'active' when n % 200 = 8 then 'candidate'
    when n % 100 = 18 then 'quarantined' when n % 10 = 9 then 'merged' else 'retired' end) as k (s);
insert into core.guideline_events (guideline_id, from_state, to_state, reason, version, actor)
select n, 'candidate', 'active', 'r', 1 + n % 200, 't' from generate_series(1, {_N}) n;
insert into core.pairs (input_id, guideline_id, origin)
select n, 1 + (n * 7 + k) % {_N}, 'model' from generate_series(1, {_N}) n, generate_series(1, 2) k;
insert into core.retrievals (request_id, input_id, guideline_id, rank, score, kept,
                             library_version, retriever_version)
select 'r' || n, n, 1 + (n * 11 + k) % {_N}, k, 0.5, k < 3, 1, 1
  from generate_series(1, {_N // 2}) n, generate_series(1, 4) k;
insert into core.gateway_retrieval_counts (guideline_id, n_found, n_kept)
select n, 5, n % 5 from generate_series(1, {_N}, 2) n;
insert into core.aligned_responses (input_id, response, guideline_ids, model, prompt_version,
  library_version, retriever_version, finish_reason, prompt_tokens, completion_tokens, latency_ms)
select n, 'a', array[1 + (n * 11 + 1) % {_N}, 1 + (n * 11 + 2) % {_N}], 'm', 'p', 1, 1, 'stop',
       1, 1, 1
  from generate_series(1, {_N // 2}) n;
"""


@pytest.fixture(scope="module")
def connection(postgres_url: str, migrated_template: str) -> Iterator[Connection]:
    """One database for all questions: nothing is written after it is filled."""
    name = "test_sql_plans"
    server = create_engine(postgres_url.replace("://", "+psycopg://"), isolation_level="AUTOCOMMIT")
    with server.connect() as administrator:
        administrator.exec_driver_sql(f"create database {name} template {migrated_template}")
    engine: Engine = create_engine(server.url.set(database=name))
    with engine.begin() as filling:
        filling.exec_driver_sql(_FILL, execution_options={"no_parameters": True})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        session.exec_driver_sql("vacuum analyze")
        yield session
    engine.dispose()
    with server.connect() as administrator:
        administrator.exec_driver_sql(f"drop database {name} with (force)")
    server.dispose()


@dataclass(frozen=True)
class Question:
    """What is asked."""

    id: str
    query: str


LOOKUPS = [
    Question("a guideline", "select * from library.guidelines where id = 77"),
    Question(
        "what waits of a category",
        "select * from library.guidelines where state = 'candidate' and category = 'Insult'",
    ),
    Question("the review queue", "select * from library.review_queue order by created_at limit 9"),
    Question("how many in each state",
             "select state, count(*) from library.guidelines group by state"),
    Question("an input", "select * from library.inputs where id = 77"),
    Question("the guidelines of an input", "select * from library.pairs where input_id = 77"),
    Question("the inputs of a guideline", "select * from library.pairs where guideline_id = 77"),
    Question("what a search found",
             "select g.title, g.n_inputs, r.score from library.retrievals r"
             " join library.guidelines g on g.id = r.guideline_id where r.request_id = 'r77'"),
    Question("what steered a response",
             "select * from library.response_guidelines where response_id = 77"),
    Question("how often a guideline is used",
             "select * from library.retrieval_counts where guideline_id = 77"),
    Question("the history of a guideline", "select * from library.history where guideline_id = 77"),
    Question("what a guideline stands for",
             "select * from library.removed_duplicates where kept_id = 18"),
    Question("a risk's inputs with what was written",
             "select i.id, p.title from library.inputs i"
             " join library.pairs p on p.input_id = i.id where i.id between 70 and 79"),
]  # fmt: skip
SWEEPS = [
    # Over everything by nature: each table once, and nothing looked up row by row.
    Question("coverage", "select * from library.coverage"),
    Question("trend", "select * from library.trend"),
    Question("use of all guidelines", "select * from library.retrieval_counts"),
]
# What SQL functions run is planned inside them; auto_explain is not everywhere, so their
# statements stand here as the functions have them.
INSIDE_FUNCTIONS = [
    Question("search by words",
             "select g.id from core.guidelines g, websearch_to_tsquery('english', '77') q"
             " where g.words @@ q and g.state = 'active'"),
    Question("what changed between two versions",
             "select g.id from core.guidelines g where g.id in (select e.guideline_id"
             " from core.guideline_events e where e.version > 3 and e.version <= 5)"),
    Question("what was retrieved for an input",
             "select g.id from core.retrievals r join core.guidelines g on g.id = r.guideline_id"
             " where r.input_id = 77 and r.kept"),
]  # fmt: skip


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _plan(connection: Connection, query: str) -> list[dict[str, Any]]:
    options = {"no_parameters": True}
    found = connection.exec_driver_sql(
        f"explain (analyze, timing off, format json) {query}", execution_options=options
    ).scalar_one()
    plan = json.loads(found) if isinstance(found, str) else found
    return list(_nodes(plan[0]["Plan"]))


@pytest.mark.parametrize("question", LOOKUPS + INSIDE_FUNCTIONS, ids=lambda q: q.id)
def test_a_lookup_goes_through_indexes(connection: Connection, question: Question) -> None:
    nodes = _plan(connection, question.query)
    swept = {n["Relation Name"] for n in nodes if n["Node Type"].endswith("Seq Scan")}
    assert not swept & BIG
    assert any("Index" in n["Node Type"] for n in nodes)


def test_a_page_of_words_is_one_statement_through_the_index(connection: Connection) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _u: Any, statement: str, values: Any, *_rest: Any) -> None:
        asked.append((statement, values))

    event.listen(connection.engine, "before_cursor_execute", note)
    try:
        browse_guidelines(BrowseFilter(words="77 or 78"), engine=connection.engine)
    finally:
        event.remove(connection.engine, "before_cursor_execute", note)
    ((statement, values),) = asked
    plan = connection.exec_driver_sql(f"explain (format json) {statement}", values).scalar_one()
    nodes = list(_nodes(plan[0]["Plan"]))
    swept = {n["Relation Name"] for n in nodes if n["Node Type"].endswith("Seq Scan")}
    assert not swept & BIG
    # Once for the rows and once for their number.
    assert [n.get("Index Name") for n in nodes].count("ix_guidelines_words") == 2


@pytest.mark.parametrize("question", SWEEPS, ids=lambda q: q.id)
def test_a_sweep_reads_each_table_in_one_go(connection: Connection, question: Question) -> None:
    reads = [n for n in _plan(connection, question.query) if n.get("Relation Name") in BIG]
    assert reads
    # A few workers may share a scan; a look-up a row would run thousands of times.
    assert max(n["Actual Loops"] for n in reads) <= 8


def test_never_retrieved_is_an_anti_join(connection: Connection) -> None:
    nodes = _plan(connection, "select id from library.never_retrieved")
    assert any(n.get("Join Type") in {"Anti", "Right Anti"} for n in nodes)


def test_what_the_whole_library_is_asked_for_is_right(connection: Connection) -> None:
    # 19 categories; every input is of Insult; all but those whose two guidelines were retired
    # or wait have one, so the rest is counted here another way.
    rows = connection.execute(
        text("select category, n_inputs, n_unsafe from library.coverage where n_inputs > 0")
    ).all()
    # 20000 / 3 rounded down.
    assert [tuple(row) for row in rows] == [("Insult", _N, 6_666)]
    without = connection.execute(
        text(
            "select sum(n_inputs_without_guideline) = (select count(*) from core.inputs i"
            " where not exists (select from core.pairs p join core.guidelines g"
            " on g.id = p.guideline_id where p.input_id = i.id"
            " and g.state in ('active', 'merged')))"
            " from library.coverage"
        )
    )
    assert without.scalar_one() is True
