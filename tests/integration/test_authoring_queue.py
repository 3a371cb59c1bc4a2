"""The work queue under workers that die, stall and share, and a model that fails."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, text

from guidealign.authoring import author_batch, count_queue, plan_batches, retry_dead_letters
from guidealign.errors import BadInputError, ServiceUnavailableError
from guidealign.settings import BudgetSettings, Settings
from tests.fakes.author_worker import start_worker
from tests.fakes.model_server import ChatRequest, Reply, serve_model
from tests.integration.authoring_fixture import (
    HARMLESS,
    RISKY,
    add_inputs,
    author,
    make_settings,
    rows,
    well_behaved,
)

# Of an input that is done: one assessment; of one that is dead: one reject. Nobody holds any.
_TWICE_OR_NEVER = """
select l.item_id from core.leases l
 where l.holder is not null or (l.done_at is null) = (l.failed_at is null)
    or (select count(*) from core.assessments a where a.input_id = l.item_id)
       <> (l.done_at is not null)::int
    or (select count(*) from core.rejects r where r.input_id = l.item_id and r.stage <> 'filter')
       <> (l.failed_at is not null)::int
"""


def sums(n: int) -> list[str]:
    return [f"How much is {number} percent of {number * 7}?" for number in range(n)]


def wait_until(true: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.02)


def slow(request: ChatRequest, delay_s: float = 0.05) -> Reply:
    reply = well_behaved(request)
    return Reply(text=reply.text, delay_s=delay_s)


def test_a_freed_place_is_filled_at_once(engine: Engine) -> None:
    """One input that takes long holds nobody up: a batch would have waited for it."""
    add_inputs(engine, ["The slow one", *sums(12)])
    others_done = threading.Event()

    def respond(request: ChatRequest) -> Reply:
        if "The slow one" in request.last:
            # Answered only when every other input has had both its questions.
            assert others_done.wait(30)
        reply = well_behaved(request)
        if sum(r.schema_name == "QualityGuidelines" for r in server.requests) == 12:
            others_done.set()
        return reply

    with serve_model(respond) as server:
        settings = make_settings(server.base_url, batch_size=2)
        assert author(engine, settings)["n_inputs"] == 13
        assert server.max_in_flight == settings.safety.concurrency


def test_killed_at_any_moment_each_input_ends_once(engine: Engine, database_url: str) -> None:
    ids = add_inputs(engine, [RISKY, *sums(59)])
    moments = random.Random(7)

    def junk_for_some(request: ChatRequest) -> Reply | str:
        asked = "".join(message["content"] for message in request.messages[-3:])
        return "hm" if "much is 11 percent" in asked else slow(request)

    with serve_model(junk_for_some) as server:
        settings = make_settings(server.base_url, max_attempts=2)
        plan_batches(engine=engine, settings=settings)
        for number in range(3):
            n_before = len(server.requests)
            worker = start_worker(database_url, server.base_url, number, retry_wait_s=0)
            wait_until(lambda n=n_before: len(server.requests) > n, "the worker asks")
            time.sleep(moments.uniform(0, 0.6))
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        # No waiting for the leases to run out: the holders are known to be dead.
        author(engine, settings)
    assert rows(engine, _TWICE_OR_NEVER) == []
    assert rows(engine, "select count(*) from core.leases") == [(len(ids),)]
    assert rows(engine, "select input_id, reason from core.rejects where stage <> 'filter'") == [
        # RISKY is the first of them.
        (ids[12], "invalid_answer")
    ]
    # Each of the 58 sums has the same one guideline; the risky input has two.
    assert rows(engine, "select count(*) from core.pairs") == [(58 + 2,)]
    assert rows(engine, "select count(*) from core.guidelines") == [(3,)]


def test_a_lease_shorter_than_a_call_is_kept_alive(engine: Engine) -> None:
    """Leases of a second, calls of two: without heartbeats two workers would ask the same."""
    add_inputs(engine, sums(4))
    with serve_model(lambda request: slow(request, 2.0)) as server:
        settings = make_settings(server.base_url, lease_s=1, batch_size=1)
        plan_batches(engine=engine, settings=settings)
        with ThreadPoolExecutor(2) as pool:
            results = pool.map(lambda n: author_batch(n, engine=engine, settings=settings), [0, 1])
            assert sum(result.n_inputs for result in results) == 4
        # Two questions each.
        assert len(server.requests) == 8
    assert rows(engine, "select distinct attempts from core.leases") == [(1,)]


def test_a_stalled_workers_input_is_taken_over_and_its_late_result_dropped(
    engine: Engine, database_url: str
) -> None:
    (risky,) = add_inputs(engine, [RISKY])
    go_on = threading.Event()

    def first_guidelines_wait(request: ChatRequest) -> Reply:
        if request.schema_name == "SafetyGuidelines":
            asked = [r for r in server.requests if r.schema_name == "SafetyGuidelines"]
            if request.number == asked[0].number:
                assert go_on.wait(60)
        return well_behaved(request)

    with serve_model(first_guidelines_wait) as server:
        settings = make_settings(server.base_url, lease_s=1)
        plan_batches(engine=engine, settings=settings)
        worker = start_worker(database_url, server.base_url, lease_s=1)
        try:
            wait_until(lambda: len(server.requests) == 2, "the worker asks")
            worker.send_signal(signal.SIGSTOP)
            expired = "select count(*) from core.leases where leased_until < now()"
            wait_until(lambda: rows(engine, expired) == [(1,)], "the lease runs out")
            assert author(engine, settings)["n_inputs"] == 1
        finally:
            go_on.set()
            worker.send_signal(signal.SIGCONT)
            assert worker.wait(60) == 0
    assert rows(engine, "select input_id from core.assessments") == [(risky,)]
    assert rows(engine, "select count(*) from core.pairs") == [(2,)]
    assert rows(engine, "select attempts, done_at is not null from core.leases") == [(2, True)]


def test_junk_is_asked_for_again_later(engine: Engine) -> None:
    (bad,) = add_inputs(engine, ["junk please"])
    with serve_model(lambda _: "hm") as server:
        settings = make_settings(
            server.base_url, max_attempts=3, retry_wait_s=0.4, retry_wait_max_s=0.5
        )
        assert author(engine, settings)["n_failed"] == 1
        asked = [request.at for request in server.requests]
    # Three tries of an answer and its repair. The waits are 0.4 and 0.5 (0.8 is over the most),
    # of which jitter takes half at most.
    assert len(asked) == 6
    assert asked[2] - asked[1] >= 0.2
    assert asked[4] - asked[3] >= 0.25
    assert rows(engine, "select attempts, reason from core.leases") == [(3, "invalid_answer")]
    assert rows(engine, "select input_id, reason, attempts from library.author_dead_letters") == [
        (bad, "invalid_answer", 3)
    ]


def test_what_waits_is_not_claimed(engine: Engine) -> None:
    add_inputs(engine, ["junk please", HARMLESS])

    def respond(request: ChatRequest) -> Reply | str:
        junk = any("junk please" in message["content"] for message in request.messages)
        return "hm" if junk else well_behaved(request)

    with serve_model(respond) as server:
        settings = make_settings(server.base_url, retry_wait_s=3600, retry_wait_max_s=3600)
        plan_batches(engine=engine, settings=settings)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(author_batch, 0, engine=engine, settings=settings)
            wait_until(lambda: count_queue(engine=engine).waiting == 1, "one waits")
            wait_until(lambda: count_queue(engine=engine).done == 1, "one is done")
            asked = len(server.requests)
            time.sleep(1.2)
            assert len(server.requests) == asked
            assert not waiting.done()
            with engine.begin() as connection:
                connection.execute(
                    text("update core.leases set done_at = now() where not_before > now()")
                )
            assert waiting.result(30).n_inputs == 1


def test_dead_letters_are_counted_and_put_back(engine: Engine) -> None:
    junk, refused, good = add_inputs(engine, ["junk please", "too long", HARMLESS])

    def respond(request: ChatRequest) -> Reply | str:
        asked = "".join(message["content"] for message in request.messages)
        if "junk please" in asked:
            return "hm"
        if "too long" in asked.partition("<input")[2]:
            return Reply(status=400, text="exceeds the context")
        return well_behaved(request)

    with serve_model(respond) as server:
        author(engine, make_settings(server.base_url, max_attempts=1))
        found = count_queue(engine=engine)
        assert (found.open, found.leased, found.done, found.dead, found.n_workers) == (
            0, 0, 1, 2, 0,
        )  # fmt: skip
        assert [(group.reason, group.n, group.input_id) for group in found.dead_letters] == [
            ("invalid_answer", 1, junk),
            ("refused_request", 1, refused),
        ]
        with pytest.raises(BadInputError, match="invalid_answer, refused_request"):
            retry_dead_letters("no_answer", engine=engine)
        assert retry_dead_letters("invalid_answer", engine=engine) == 1
        assert count_queue(engine=engine).open == 1
        server.responder = well_behaved
        assert author(engine, make_settings(server.base_url))["n_inputs"] == 1
        assert retry_dead_letters(engine=engine) == 1
        assert author(engine, make_settings(server.base_url))["n_inputs"] == 1
    assert retry_dead_letters(engine=engine) == 0
    done = rows(engine, "select input_id from library.author_queue where state = 'done' order by 1")
    assert done == [(junk,), (refused,), (good,)]


def _poisoned(request: ChatRequest, after_s: float = 0.0) -> Reply:
    poison = Reply(status=500, delay_s=after_s)
    return poison if "poison" in request.last else slow(request)


def _impatient(base_url: str, **author: Any) -> Settings:
    endpoint = {"base_url": base_url, "model": "expert", "max_retries": 0}
    return Settings.model_validate({"safety": endpoint, "author": {"retry_wait_s": 0} | author})


def test_an_input_that_alone_gets_no_answer_is_given_up(engine: Engine) -> None:
    poison, *_ = add_inputs(engine, ["poison", *sums(30)])
    with serve_model(_poisoned) as server:
        counts = author(engine, _impatient(server.base_url, max_attempts=2, batch_size=1))
    assert (counts["n_inputs"], counts["n_failed"]) == (30, 1)
    assert rows(engine, "select input_id, reason, attempts from library.author_dead_letters") == [
        (poison, "no_answer", 2)
    ]


def test_the_last_input_without_an_answer_waits_for_the_next_run(engine: Engine) -> None:
    """It may be the input or the server: neither it nor the run is blamed."""
    *_, poison = add_inputs(engine, [*sums(4), "poison"])
    with serve_model(lambda request: _poisoned(request, after_s=1.0)) as server:
        plan_batches(engine=engine, settings=_impatient(server.base_url))
        first = author_batch(0, engine=engine, settings=_impatient(server.base_url, batch_size=1))
        assert (first.n_inputs, first.n_failed, first.n_unanswered) == (4, 0, 1)
        assert rows(
            engine, "select input_id, attempts from library.author_queue where state = 'open'"
        ) == [(poison, 0)]
        # With nothing else to ask, that the server is away is all there is to say.
        with pytest.raises(ServiceUnavailableError):
            author_batch(0, engine=engine, settings=_impatient(server.base_url))


def test_an_input_that_kills_its_workers_is_given_up(engine: Engine) -> None:
    (deadly,) = add_inputs(engine, ["deadly"])
    with serve_model(well_behaved) as server:
        settings = make_settings(server.base_url, max_attempts=1)
        plan_batches(engine=engine, settings=settings)
        with engine.begin() as connection:
            connection.execute(text("update core.leases set attempts = 10"))
        assert author_batch(0, engine=engine, settings=settings).n_failed == 1
        assert server.requests == []
    assert rows(engine, "select input_id, reason from core.rejects") == [(deadly, "worker_lost")]


def test_a_spent_budget_stops_cleanly(engine: Engine) -> None:
    add_inputs(engine, sums(12))
    with serve_model(well_behaved) as server:
        settings = make_settings(server.base_url)
        plan_batches(engine=engine, settings=settings)
        first = author_batch(
            0, engine=engine, settings=settings, budget=BudgetSettings(max_requests=7)
        )
        assert len(server.requests) == first.n_requests == 7
        assert first.stopped_by_budget
        # What is not done is open again, and nothing is held against it.
        state = (
            "select state, attempts, count(*) from library.author_queue group by 1, 2 order by 1"
        )
        assert rows(engine, state) == [
            ("done", 1, first.n_inputs),
            ("open", 0, 12 - first.n_inputs),
        ]
        second = author_batch(0, engine=engine, settings=settings)
        assert (second.n_inputs, second.stopped_by_budget) == (12 - first.n_inputs, None)
        # Detections that the first one paid for are not asked again.
        assert len(server.requests) == 24
        assert (first + second).stopped_by_budget == first.stopped_by_budget


def test_a_budget_holds_over_the_tries_of_a_run(engine: Engine) -> None:
    add_inputs(engine, sums(12))
    with serve_model(well_behaved) as server:
        settings = make_settings(server.base_url)
        plan_batches(engine=engine, settings=settings)
        given: dict[str, Any] = {"engine": engine, "settings": settings, "run_key": "run"}
        author_batch(0, budget=BudgetSettings(max_requests=5), **given)
        again = author_batch(0, budget=BudgetSettings(max_requests=8), **given)
        assert len(server.requests) == 8
        assert again.n_requests == 3
    assert rows(engine, "select n_workers, n_requests from library.author_runs") == [(1, 8)]


def test_what_was_answered_once_is_not_asked_again(engine: Engine) -> None:
    add_inputs(engine, [RISKY, HARMLESS, *sums(4)])
    forget = "delete from core.pairs; delete from core.assessments; delete from core.leases"
    with serve_model(well_behaved) as server:
        settings = make_settings(server.base_url)
        assert author(engine, settings)["n_cached"] == 0
        assert len(server.requests) == 12
        with engine.begin() as connection:
            connection.exec_driver_sql(forget)
        again = author(engine, settings)
        assert (again["n_inputs"], again["n_requests"], again["n_cached"]) == (6, 0, 12)
        assert len(server.requests) == 12
        # Another temperature is another question; detection does not depend on it.
        with engine.begin() as connection:
            connection.exec_driver_sql(forget)
        warmer = author(engine, make_settings(server.base_url, temperature=0.9))
        assert (warmer["n_requests"], warmer["n_cached"]) == (6, 6)


def test_odd_characters_of_a_model_are_stored_all_the_same(engine: Engine) -> None:
    add_inputs(engine, [HARMLESS])

    def respond(request: ChatRequest) -> Reply:
        reply = well_behaved(request)
        return Reply(text=reply.text.replace("nobody", "no\\u0000body"))

    with serve_model(respond) as server:
        assert author(engine, make_settings(server.base_url))["n_inputs"] == 1


def test_workers_on_two_machines_share(engine: Engine, database_url: str) -> None:
    """As far as one machine can show it: processes that know nothing of each other."""
    add_inputs(engine, sums(40))
    with serve_model(slow) as server:
        plan_batches(engine=engine, settings=make_settings(server.base_url))
        workers: list[subprocess.Popen[bytes]] = [
            start_worker(database_url, server.base_url, 0, batch_size=2) for _ in range(2)
        ]
        assert [worker.wait(60) for worker in workers] == [0, 0]
        assert len(server.requests) == 80
    assert rows(engine, _TWICE_OR_NEVER) == []
    assert rows(engine, "select count(*) from core.pairs") == [(40,)]


def test_an_outage_in_the_middle_loses_nothing(engine: Engine) -> None:
    add_inputs(engine, sums(20))

    def dies(request: ChatRequest) -> Reply:
        return well_behaved(request) if request.number < 12 else Reply(drop=True)

    with serve_model(dies) as server:
        endpoint = {"base_url": server.base_url, "model": "expert", "max_retries": 0}
        settings = Settings.model_validate({"safety": endpoint})
        with pytest.raises(ServiceUnavailableError):
            author(engine, settings)
    assert rows(engine, "select count(*) from core.leases where failed_at is not null") == [(0,)]
    ((n_done,),) = rows(engine, "select count(*) from core.leases where done_at is not null")
    assert 0 < n_done <= 6
    with serve_model(well_behaved) as server:
        counts = author(engine, make_settings(server.base_url))
        assert counts["n_inputs"] == 20 - n_done
        # Twelve questions were answered before, each of which is half an input.
        assert len(server.requests) == 40 - 12
    assert rows(engine, _TWICE_OR_NEVER) == []
