"""SQL of benchmark runs and of the answers as they come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, text

from guidealign.db import guard_database, session_lock
from guidealign.errors import BadInputError
from guidealign.evaluation.benchmarks.model import Benchmark
from guidealign.evaluation.benchmarks.runs import BenchmarkAnswer, BenchmarkSubject, StoredRun

_RUN = (
    "select r.id as run_id, r.model_name, r.version, r.release_id, r.benchmark, r.source,"
    " r.source_sha256, r.cases_digest, r.n_cases, r.asked, r.created_at,"
    " (select count(a.answers) from core.evaluation_answers a where a.run_id = r.id) as n_answered,"
    " (select count(a.reason) from core.evaluation_answers a where a.run_id = r.id) as n_refused"
    " from core.evaluation_runs r"
)
_FIND_RUN = text(
    f"{_RUN} where model_name = :model_name and version = :version and benchmark = :benchmark"
    " and cases_digest = :cases_digest and asked = :asked"
)
_RUN_BY_ID = text(f"{_RUN} where r.id = :id")
_RUNS = text(f"{_RUN} order by r.id desc limit :n")
_ADD_RUN = text(
    "insert into core.evaluation_runs (model_name, version, release_id, benchmark, source,"
    " source_sha256, cases_digest, n_cases, asked) values (:model_name, :version, :release_id,"
    " :benchmark, :source, :source_sha256, :cases_digest, :n_cases, :asked) on conflict do nothing"
)
_ADD_ANSWER = text(
    "insert into core.evaluation_answers (run_id, case_id, category, kind, cluster, turns,"
    " answers, reason, finish_reason, guideline_ids, model, prompt_tokens, completion_tokens,"
    " latency_ms) values (:run_id, :case_id, :category, :kind, :cluster, :turns, :answers,"
    " :reason, :finish_reason, :guideline_ids, :model, :prompt_tokens, :completion_tokens,"
    " :latency_ms) on conflict do nothing"
)
_ANSWERS = text(
    "select case_id, category, kind, cluster, turns, answers, reason, latency_ms, guideline_ids"
    " from core.evaluation_answers where run_id = :id order by case_id"
)


def open_run(
    engine: Engine, benchmark: Benchmark, subject: BenchmarkSubject, asked: str
) -> StoredRun:
    """Finds the run of this model on these cases, asked in this way, or makes it."""
    key = {
        "model_name": subject.model_name,
        "version": subject.version,
        "benchmark": benchmark.name,
        "cases_digest": benchmark.digest,
        "asked": asked,
    }
    values = {
        **key,
        "release_id": subject.release and subject.release.release_id,
        "source": benchmark.source,
        "source_sha256": benchmark.sha256,
        "n_cases": len(benchmark.cases),
    }
    with guard_database(), engine.begin() as connection:
        connection.execute(_ADD_RUN, values)
        return StoredRun(**connection.execute(_FIND_RUN, key).mappings().one())


def read_run(engine: Engine, run_id: int) -> StoredRun:
    """A run by its number.

    Raises:
        BadInputError: there is none.
    """
    with guard_database(), engine.connect() as connection:
        row = connection.execute(_RUN_BY_ID, {"id": run_id}).mappings().one_or_none()
    if row is None:
        raise BadInputError(f"there is no run {run_id}: `guidealign evaluate list` shows those")
    return StoredRun(**row)


def list_runs(engine: Engine, n: int = 50) -> list[StoredRun]:
    """The newest runs."""
    with guard_database(), engine.connect() as connection:
        return [StoredRun(**row) for row in connection.execute(_RUNS, {"n": n}).mappings()]


@contextmanager
def asking(engine: Engine, run_id: int) -> Iterator[None]:
    """Lets one process at a time ask a run's cases; a process that dies lets go."""
    name = f"guidealign.evaluation.{run_id}"
    with engine.connect() as connection, session_lock(connection, name):
        yield


def add_answer(engine: Engine, answer: dict[str, Any]) -> None:
    """Stores an answer in a transaction of its own."""
    with guard_database(), engine.begin() as connection:
        connection.execute(_ADD_ANSWER, answer)


def read_answers(engine: Engine, run_id: int) -> list[BenchmarkAnswer]:
    """All answers of a run, by the ids of their cases."""
    with guard_database(), engine.connect() as connection:
        rows = connection.execute(_ANSWERS, {"id": run_id}).mappings()
        return [BenchmarkAnswer.of(dict(row)) for row in rows]
