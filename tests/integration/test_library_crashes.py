"""A job that is killed in its middle leaves a whole library, and done again it ends the same."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, text

from guidealign.db import guard_database, make_engine
from guidealign.errors import ServiceUnavailableError
from guidealign.library import CURATION_VERSION, SearchOptions, search_vector
from tests.fakes.libraries import add_guideline, faults, unit_vectors
from tests.fakes.library_jobs import JOBS, RETRIEVER

ROOT = Path(__file__).resolve().parents[2]
GATE = 4711
TIMEOUT_S = 60
_GATE = """
create function public.wait_at_gate() returns trigger language plpgsql as $$
declare
  closed boolean;
begin
  execute tg_argv[0] into closed;
  if closed then
    perform pg_advisory_xact_lock({gate});
  end if;
  return null;
end $$;
create trigger a_gate after insert or update on core.{table}
  for each statement execute function public.wait_at_gate('select {when}');
"""
_OPEN = "drop function public.wait_at_gate() cascade"
_AT_GATE = (
    "select pid from pg_locks where locktype = 'advisory' and objid = :gate and not granted"
    " and database = (select oid from pg_database where datname = current_database())"
)
_BUILDING = (
    "select a.pid from pg_stat_activity a join pg_index i on not i.indisvalid"
    " where a.query ilike 'create index concurrently%' and a.wait_event_type = 'Lock'"
    " and a.datname = current_database()"
)
_OUTCOME = (
    "select id, text_hash, state, served, merged_into, merge_score, state_reason"
    " from core.guidelines order by id",
    "select version, digest, n_active, n_added, n_retired from core.library_versions order by 1",
    "select guideline_id, from_state, to_state, version, witness_id from core.guideline_events"
    " order by 1, 4, 2",
    "select left_id, right_id, score, status from core.conflicts order by 1, 2",
    "select retriever_version, guideline_id, embedding::text from core.embeddings order by 1, 2",
    "select retriever_version, dimensions, n_vectors from core.vector_indexes order by 1",
    "select library_version, retriever_version from core.releases order by id",
    "select indexrelid::regclass::text, indisvalid from pg_index"
    " where indexrelid::regclass::text like '%hnsw%' order by 1",
)


@dataclass(frozen=True)
class Middle:
    """Where a job is stopped."""

    id: str
    job: str
    table: str = ""
    """What it has just written; empty: while the index is built."""
    when: str = "true"


MIDDLES = [
    Middle("publication, decisions applied", "publish", "guidelines"),
    Middle("publication, version written", "publish", "library_versions"),
    Middle("merge, version written", "merge", "library_versions"),
    Middle(
        "embedding, third block",
        "embed",
        "embeddings",
        "count(*) > 20 from core.embeddings where retriever_version = 3",
    ),
    Middle("index, being built", "index"),
    Middle("index, being measured", "index", "vector_indexes"),
    Middle("release, written", "adopt", "releases"),
]


@pytest.fixture
def twin(postgres_url: str, migrated_template: str) -> Iterator[Engine]:
    """A second database, where nothing is disturbed."""
    name = "undisturbed_library"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"create database {name} template {migrated_template}")
    engine = make_engine(postgres_url.rsplit("/", 1)[0] + "/" + name)
    yield engine
    engine.dispose()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


def _fill(engine: Engine, job: str) -> None:
    """Thirty guidelines: twenty published, ten waiting, with copies and contradictions."""
    vectors = unit_vectors(30, 64, seed=3)
    for n in range(30):
        # The last six say the same as the first six, or the opposite.
        of = n - 24 if n >= 24 else n
        start = "Never provide" if n >= 27 else "Provide"
        body = (
            f"{start} detailed steps for opening a thing of kind {'abcdefghijklmnopqrstuvwx'[of]}."
        )
        add_guideline(engine, f"Opening {n}", body, vectors[of])
        if n == 19:
            JOBS["publish"](engine)
    if job in ("index", "adopt"):
        JOBS["embed"](engine)
    if job == "adopt":
        with engine.begin() as connection:
            connection.execute(text("update core.embeddings set retriever_version = 0"
                                    " where retriever_version = 3"))  # fmt: skip


def _outcome(engine: Engine) -> list[list[Any]]:
    with engine.connect() as connection:
        return [[tuple(row) for row in connection.execute(text(query))] for query in _OUTCOME]


@contextmanager
def _stopped(engine: Engine, middle: Middle) -> Iterator[None]:
    """While this lasts nobody gets past the middle of the job."""
    with engine.connect() as holder:
        if middle.table:
            holder.execute(text("select pg_advisory_lock(:gate)"), {"gate": GATE})
            gate = _GATE.format(gate=GATE, table=middle.table, when=middle.when)
            holder.exec_driver_sql(gate)
            holder.commit()
        else:
            holder.execute(text("lock table core.embeddings in row exclusive mode"))
        yield
        if middle.table:
            holder.execute(text("select pg_advisory_unlock(:gate)"), {"gate": GATE})
        holder.rollback()


def _wait_for(
    engine: Engine, query: str, job: subprocess.Popen[str] | None = None, **values: Any
) -> int:
    """The first value that a query gives, once it gives one."""
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        with engine.connect() as connection:
            if (found := connection.execute(text(query), values).scalar()) is not None:
                return int(found)
        if job is not None and job.poll() is not None:
            pytest.fail(f"the job ended before its middle: {job.communicate()[1]}")
        time.sleep(0.02)
    pytest.fail(f"nothing came of {query}")


@pytest.mark.parametrize("victim", ["program", "backend"])
@pytest.mark.parametrize("middle", MIDDLES, ids=lambda middle: middle.id)
def test_killed_in_the_middle(
    engine: Engine, database_url: str, twin: Engine, middle: Middle, victim: str
) -> None:
    for each in (engine, twin):
        _fill(each, middle.job)
    JOBS[middle.job](twin)
    before = _outcome(engine)

    with _stopped(engine, middle):
        job = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.library_jobs", database_url, middle.job],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            if middle.table:
                pid = _wait_for(engine, _AT_GATE, job, gate=GATE)
            else:
                pid = _wait_for(engine, _BUILDING, job)
            if victim == "program":
                job.kill()
            else:
                with engine.begin() as connection:
                    connection.execute(text("select pg_terminate_backend(:pid)"), {"pid": pid})
            errors = job.communicate(timeout=TIMEOUT_S)[1]
        finally:
            job.kill()
            job.wait()
        with engine.connect() as connection:
            assert faults(connection) == {}
    if victim == "backend":
        assert "ServiceUnavailableError: the guidealign database" in errors

    gone = "select 1 where not exists (select from pg_stat_activity where pid = :pid)"
    _wait_for(engine, gone, pid=pid)
    _is_whole(engine)
    if middle.job == "embed":
        # Blocks that were stored stay: 20 of the retriever's and 30 of curation's.
        assert len(_outcome(engine)[4]) == 50
    else:
        assert _outcome(engine)[:-1] == before[:-1]  # an index may lie about, unused
    if middle.table:
        with engine.begin() as connection:
            connection.execute(text(_OPEN))

    JOBS[middle.job](engine)
    _is_whole(engine)
    assert _outcome(engine) == _outcome(twin)


def _is_whole(engine: Engine) -> None:
    query = unit_vectors(1, 16, seed=9)[0]
    curation = unit_vectors(1, 64, seed=9)[0]
    with engine.connect() as connection:
        assert faults(connection) == {}
        for retriever, vector in ((RETRIEVER, query), (CURATION_VERSION, curation)):
            found, exact = (
                search_vector(
                    vector,
                    connection=connection,
                    retriever_version=retriever,
                    k=5,
                    options=SearchOptions(exact=exact),
                )
                for exact in (False, True)
            )
            assert found == exact


def test_a_search_on_a_lost_connection_says_so(engine: Engine) -> None:
    with engine.connect() as connection, engine.connect() as other:
        pid = connection.execute(text("select pg_backend_pid()")).scalar_one()
        other.execute(text("select pg_terminate_backend(:pid)"), {"pid": pid})
        with pytest.raises(ServiceUnavailableError, match="database"), guard_database():
            search_vector(
                unit_vectors(1, 16, seed=1)[0], connection=connection, retriever_version=3, k=5
            )
        connection.invalidate()
