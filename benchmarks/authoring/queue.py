"""The work queue: workers killed at random moments, a second run, the worker's speed and memory."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import httpx
import openai
import psutil
from sqlalchemy import Engine, text

from benchmarks._harness.report import ROOT, Figure
from benchmarks.authoring.server import is_junk
from guidealign.authoring import AuthorResult, author_batch, plan_batches
from guidealign.db import make_engine, migrate
from guidealign.ingest import text_hash
from guidealign.platform import temporary_postgres
from guidealign.settings import Settings

_LATENCY_S = 0.2
_CONCURRENCY = 64
# As long as a request for a detection.
_PREFIX = "You judge inputs for safety, with care and in few words. " * 120

# Exactly once: one lease that is settled; what is done has one assessment and one pair (the server
# gives each input one guideline of its own), what is dead one reject, and nothing has both.
_NOT_ONCE = """
select count(*) from core.inputs i
  left join core.leases l on l.task = 'author' and l.item_id = i.id
 where l.holder is not null or (l.done_at is null) = (l.failed_at is null)
    or (select count(*) from core.assessments a where a.input_id = i.id)
       <> (l.done_at is not null)::int
    or (select count(*) from core.pairs p where p.input_id = i.id) <> (l.done_at is not null)::int
    or (select count(*) from core.rejects r where r.input_id = i.id and r.stage = 'detect')
       <> (l.failed_at is not null)::int
"""
_COUNTS = """
select (select count(*) from core.leases where done_at is not null),
       (select count(*) from core.leases where failed_at is not null),
       (select count(*) from core.guidelines), (select count(*) from core.pairs),
       (select max(attempts) from core.leases)
"""


def measure(full: bool) -> list[Figure]:
    """All figures of the part `queue`."""
    with temporary_postgres() as url:
        return [
            *_kill_figures(url, *((2_000, 20) if full else (200, 4))),
            *_speed_figures(url, 1_000 if full else 200, rounds=3 if full else 1),
            *_memory_figures(url, 50_000 if full else 2_000),
        ]


def _kill_figures(postgres_url: str, n: int, n_kills: int) -> list[Figure]:
    url, engine = _fresh(postgres_url, "kills")
    _add_inputs(engine, n)
    with _server(0.1) as server:
        settings = _settings(server, 16)
        plan_batches(engine=engine, settings=settings)
        held = _kill(url, server, engine, n_kills)
        author_batch(0, engine=engine, settings=settings)
        n_first = _n_requests(server)
        wrong, n_done, n_dead, n_guidelines, n_pairs, most = _state(engine)
        n_junk = sum(is_junk(number) for number in range(n))
        # A detection and guidelines for each; three tries of two answers for junk.
        least = 2 * (n - n_junk) + 6 * n_junk
        as_it_is, forgotten = _second_runs(engine, settings)
        n_second = _n_requests(server) - n_first
    n_doubled = n_pairs - n_done + n_guidelines - n_done
    return [
        Figure(
            figure=f"queue: {n_kills} kill -9 over {n:,} inputs: not once in done or rejects",
            value=wrong,
            unit="inputs",
            n=n,
            target="0",
            met=wrong == 0 and n_done + n_dead == n and n_dead == n_junk,
            note=f"{n_done} done, {n_dead} dead letters (as many as get junk for ever); a killed"
            f" worker held {statistics.median(held):.0f} inputs (median); one input was claimed"
            f" {most} times at most",
        ),
        Figure(
            figure="queue: guidelines or pairs doubled by that",
            value=n_doubled,
            unit="rows",
            n=n,
            target="0",
            met=n_doubled == 0,
            note=f"{n_first} requests where {least} would do: answers of the last fraction of a"
            " second before each kill were asked for again",
        ),
        Figure(
            figure="queue: model calls of a second run on the same inputs",
            value=n_second,
            unit="calls",
            n=n,
            target="0",
            met=n_second == 0,
            note=f"as it is: {as_it_is.n_inputs} inputs open; with assessments, pairs and queue"
            f" entries of what was done deleted: {forgotten.n_inputs} inputs authored from"
            f" {forgotten.n_cached} answers kept",
        ),
    ]


def _kill(url: str, server: str, engine: Engine, n_kills: int) -> list[int]:
    """Starts a worker and kills it, again and again; how many inputs each held."""
    moments, held = random.Random(11), []  # noqa: S311
    for number in range(n_kills):
        before = _n_requests(server)
        with _worker(url, server, number) as worker:
            while _n_requests(server) == before and worker.poll() is None:
                time.sleep(0.05)
            time.sleep(moments.uniform(0, 1.0))
            worker.kill()
        query = "select count(*) from core.leases where holder is not null"
        held.append(_rows(engine, query)[0][0])
    return held


def _second_runs(engine: Engine, settings: Settings) -> tuple[AuthorResult, AuthorResult]:
    plan_batches(engine=engine, settings=settings)
    as_it_is = author_batch(0, engine=engine, settings=settings)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "delete from core.pairs; delete from core.assessments;"
            " delete from core.leases where done_at is not null"
        )
    plan_batches(engine=engine, settings=settings)
    return as_it_is, author_batch(0, engine=engine, settings=settings)


def _speed_figures(postgres_url: str, n: int, rounds: int) -> list[Figure]:
    ours, bare, cpu = [], [], []
    with _server(_LATENCY_S) as server:
        settings = _settings(server, _CONCURRENCY)
        for number in range(rounds + 1):
            _, engine = _fresh(postgres_url, f"speed_{number}")
            _add_inputs(engine, n, without_junk=True)
            plan_batches(engine=engine, settings=settings)
            started, cpu_before = time.perf_counter(), time.process_time()
            done = author_batch(0, engine=engine, settings=settings)
            seconds = time.perf_counter() - started
            used = time.process_time() - cpu_before
            assert done.n_inputs == n
            other = asyncio.run(_bare(server, done.n_requests))
            # The first round warms both up: imports, connections, plans of statements.
            if number:
                ours.append(done.n_requests / seconds)
                cpu.append(used * 1000 / n)
                bare.append(done.n_requests / other)
    ratio = statistics.median(ours) / statistics.median(bare)
    return [
        Figure(
            figure="queue: worker with Postgres against a bare asyncio loop of as many calls",
            value=ratio,
            unit="ratio",
            n=n,
            target="stated",
            note=f"{statistics.median(ours):.0f} against {statistics.median(bare):.0f} calls/s,"
            f" median of {rounds} rounds in turn; {_CONCURRENCY} at a time,"
            f" {_LATENCY_S * 1000:.0f} ms a call; two calls an input, the second after the first;"
            " start and end of the worker included",
        ),
        Figure(
            figure="queue: CPU of the worker per 1,000 inputs",
            value=statistics.median(cpu),
            unit="s",
            n=n,
            note="two calls an input: client, validation, filter, storing",
        ),
    ]


async def _bare(server: str, n: int) -> float:
    """Seconds that the official async client takes for `n` calls."""
    slots = asyncio.Semaphore(_CONCURRENCY)
    async with openai.AsyncOpenAI(
        base_url=server, api_key="none", http_client=openai.DefaultAioHttpClient()
    ) as client:

        async def ask(number: int) -> None:
            async with slots:
                answer = await client.chat.completions.create(
                    model="bench",
                    messages=[
                        {"role": "system", "content": _PREFIX},
                        {"role": "user", "content": f"Case {number} of the queue"},
                    ],
                    max_tokens=200,
                )
                assert answer.choices[0].message.content

        started = time.perf_counter()
        await asyncio.gather(*(ask(number) for number in range(n)))
        return time.perf_counter() - started


def _memory_figures(postgres_url: str, n: int) -> list[Figure]:
    """Resident memory of a worker process while inputs stream through."""
    url, engine = _fresh(postgres_url, "memory")
    _add_inputs(engine, n, without_junk=True)
    resident_mb: list[tuple[int, float]] = []
    with _server(0.002) as server:
        plan_batches(engine=engine, settings=_settings(server, 32))
        started = time.perf_counter()
        with _worker(url, server, 0) as worker:
            while worker.poll() is None:
                query = "select count(*) from core.leases where done_at is not null"
                done = _rows(engine, query)[0][0]
                if done >= n // 10 and worker.poll() is None:
                    resident_mb.append((done, psutil.Process(worker.pid).memory_info().rss / 2**20))
                time.sleep(0.5)
        seconds = time.perf_counter() - started
    first = resident_mb[0][1]
    growth = max(mb for _, mb in resident_mb) - first
    return [
        Figure(
            figure="queue: growth of a worker's memory as inputs stream through",
            value=growth,
            unit="MiB",
            n=n,
            target="flat (< 10)",
            met=growth < 10,
            note=f"{first:.0f} MiB after a tenth of the inputs; {n / seconds:.0f} inputs/s",
        )
    ]


def _settings(server: str, concurrency: int) -> Settings:
    endpoint = {"base_url": server, "model": "bench", "concurrency": concurrency}
    return Settings.model_validate({"safety": endpoint, "author": {"retry_wait_s": 0.1}})


def _fresh(postgres_url: str, name: str) -> tuple[str, Engine]:
    engine = make_engine(postgres_url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"create database {name}"))
    url = postgres_url.rsplit("/", 1)[0] + "/" + name
    migrate(url)
    return url, make_engine(url)


def _add_inputs(engine: Engine, n: int, *, without_junk: bool = False) -> None:
    every = (number for number in range(2 * n) if not (without_junk and is_junk(number)))
    texts = [f"Case {number} of the queue: what is there to say?" for number in islice(every, n)]
    rows = [{"hash": text_hash(words), "text": words} for words in texts]
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into core.inputs (text_hash, text, redacted_text, source)"
                " select hash, text, text, 'bench' from jsonb_to_recordset(cast(:rows as jsonb))"
                " as r (hash text, text text)"
            ),
            {"rows": json.dumps(rows)},
        )


def _rows(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def _state(engine: Engine) -> tuple[int, ...]:
    return (_rows(engine, _NOT_ONCE)[0][0], *_rows(engine, _COUNTS)[0])


def _n_requests(server: str) -> int:
    return int(httpx.get(f"{server}/stats").json()["n_requests"])


@contextmanager
def _server(latency_s: float) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.authoring.server", "--latency-s", str(latency_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.terminate()


@contextmanager
def _worker(url: str, server: str, number: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", __name__, url, server, str(number)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _work() -> None:
    url, server, number = sys.argv[1:]
    author_batch(int(number), engine=make_engine(url), settings=_settings(server, 16))


if __name__ == "__main__":
    _work()
