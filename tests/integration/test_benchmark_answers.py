"""A model is asked a benchmark once: what it answered survives whatever happens to the asker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import Engine

from guidealign.errors import ConfigurationError, ServiceUnavailableError
from guidealign.evaluation.benchmarks import (
    Benchmark,
    BenchmarkCase,
    BenchmarkSubject,
    answer_benchmark,
    list_runs,
    read_answers,
    read_run,
)
from guidealign.settings import Settings
from tests.fakes.model_server import ChatRequest, Reply, serve_model
from tests.fakes.policies import release
from tests.integration.llm_fixture import endpoint

WORKER = """
import sys
from guidealign.db import make_engine
from guidealign.evaluation.benchmarks import BenchmarkSubject, answer_benchmark
from guidealign.settings import Settings
from tests.integration.llm_fixture import endpoint
from tests.integration.test_benchmark_answers import make_benchmark
answer_benchmark(
    make_benchmark(40), BenchmarkSubject(endpoint=endpoint(sys.argv[2], concurrency=2), name="m"),
    engine=make_engine(sys.argv[1]), settings=Settings(),
)
"""


def make_benchmark(n: int) -> Benchmark:
    cases = tuple(
        BenchmarkCase(case_id=f"c{i:02}", category="x", kind="harm", turns=(f"question {i}",))
        for i in range(n)
    )
    return Benchmark(name="b", cases=cases, source="here", sha256="0", known_as=None)


def _ask(benchmark: Benchmark, base_url: str, engine: Engine, **changes: object) -> int:
    subject = BenchmarkSubject(endpoint=endpoint(base_url, **changes), name="m")
    return answer_benchmark(benchmark, subject, engine=engine, settings=Settings()).run_id


def test_every_case_is_asked_once_and_told(engine: Engine) -> None:
    told: list[tuple[int, int]] = []
    with serve_model(lambda request: f"answer to {request.last}") as server:
        subject = BenchmarkSubject(endpoint=endpoint(server.base_url), name="m")
        asked = answer_benchmark(
            make_benchmark(5), subject, engine=engine, settings=Settings(),
            progress=lambda done, total: told.append((done, total)),
        )  # fmt: skip
        again = _ask(make_benchmark(5), server.base_url, engine)
        assert len(server.requests) == 5
        assert server.requests[0].body["temperature"] == 0
    assert again == asked.run_id
    assert (asked.n_answered, asked.n_refused, asked.open_cases) == (5, 0, 0)
    assert told == [(i, 5) for i in range(6)]
    answers = read_answers(engine, asked.run_id)
    assert [(a.prompt, a.answer) for a in answers][3] == ("question 3", "answer to question 3")


def test_turns_are_asked_after_the_answers_before_them(engine: Engine) -> None:
    case = BenchmarkCase(case_id="1", category="x", kind="quality", turns=("first", "second"))
    benchmark = Benchmark(name="b", cases=(case,), source="here", sha256="0", known_as=None)
    with serve_model(lambda request: f"re {request.last}") as server:
        run = _ask(benchmark, server.base_url, engine)
        last = server.requests[-1].messages
    assert [m["content"] for m in last] == ["first", "re first", "second"]
    assert read_answers(engine, run)[0].answers == ("re first", "re second")


def test_what_the_server_refuses_is_a_case_without_an_answer(engine: Engine) -> None:
    def respond(request: ChatRequest) -> Reply | str:
        too_long = request.last == "question 1"
        return Reply(status=400, text="too long for the context") if too_long else "fine"

    with serve_model(respond) as server:
        run = read_run(engine, _ask(make_benchmark(3), server.base_url, engine))
    assert (run.n_answered, run.n_refused, run.open_cases) == (2, 1, 0)
    refused = [a for a in read_answers(engine, run.run_id) if a.answers is None]
    assert [(a.case_id, "too long" in (a.reason or "")) for a in refused] == [("c01", True)]


def test_a_server_that_goes_away_leaves_what_it_answered(engine: Engine) -> None:
    def respond(request: ChatRequest) -> Reply | str:
        return "fine" if request.number < 4 else Reply(status=503, text="gone")

    with serve_model(respond) as server:
        with pytest.raises(ServiceUnavailableError):
            _ask(make_benchmark(9), server.base_url, engine, concurrency=1, max_retries=0)
        (run,) = list_runs(engine)
        assert (run.n_answered, run.open_cases) == (4, 5)
        server.responder = lambda _: "back"
        before = len(server.requests)
        assert _ask(make_benchmark(9), server.base_url, engine) == run.run_id
        assert len(server.requests) - before == 5


def test_a_killed_asker_loses_nothing_and_asks_nothing_twice(
    engine: Engine, database_url: str
) -> None:
    root = Path(__file__).resolve().parents[2]
    with serve_model(lambda _: Reply(text="fine", delay_s=0.1)) as server:
        command = [sys.executable, "-c", WORKER, database_url, server.base_url]
        worker = subprocess.Popen(command, cwd=root, env=os.environ | {"PYTHONPATH": str(root)})
        deadline = time.monotonic() + 60
        while not (list_runs(engine) and list_runs(engine)[0].n_answered >= 8):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        kept = {a.prompt for a in read_answers(engine, list_runs(engine)[0].run_id)}
        assert 8 <= len(kept) < 40
        before = len(server.requests)
        run = read_run(engine, _ask(make_benchmark(40), server.base_url, engine))
        asked_later = [r.last for r in server.requests[before:]]
        asked = Counter(r.last for r in server.requests)
    assert run.n_answered == 40
    assert not kept & set(asked_later)
    # Only what was under way at the kill was asked twice.
    assert sum(n - 1 for n in asked.values()) <= 2


def test_guidelines_take_a_registry_and_make_another_model(engine: Engine) -> None:
    subject = BenchmarkSubject(
        endpoint=endpoint("http://127.0.0.1:9/v1"), name="m", release=release(release_id=4)
    )
    assert subject.model_name == "m+release-4"
    with pytest.raises(ConfigurationError, match="registry"):
        answer_benchmark(make_benchmark(1), subject, engine=engine, settings=Settings())
