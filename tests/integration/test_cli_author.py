"""`guidealign author` as people and programs run it, against a real database."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.fakes.model_server import ChatRequest, Reply, serve_model
from tests.fakes.program import run_program
from tests.integration.authoring_fixture import HARMLESS, RISKY, add_inputs, rows, well_behaved

Done = subprocess.CompletedProcess[str]


def _run(database_url: str, *arguments: str, **environment: str) -> Done:
    return run_program("author", *arguments, GUIDEALIGN_DATABASE_URL=database_url, **environment)


def _figures(done: Done) -> dict[str, str]:
    assert done.returncode == 0, done.stderr
    return dict(line.split(maxsplit=1) for line in done.stdout.strip().splitlines())


def test_authoring_stops_at_the_budget_it_is_given_and_goes_on(
    engine: Engine, database_url: str
) -> None:
    add_inputs(engine, [RISKY, HARMLESS, "junk please"])

    def respond(request: ChatRequest) -> Reply | str:
        junk = any("junk please" in message["content"] for message in request.messages)
        return "hm" if junk else well_behaved(request)

    with serve_model(respond) as server:
        given = {
            "GUIDEALIGN_SAFETY__BASE_URL": server.base_url,
            "GUIDEALIGN_SAFETY__CONCURRENCY": "1",
            "GUIDEALIGN_AUTHOR__MAX_ATTEMPTS": "1",
        }
        first = _figures(_run(database_url, "--max-requests", "1", **given))
        assert first["requests"] == "1"
        assert "stopped_by_budget" in first
        rest = _figures(_run(database_url, **given))
        assert "stopped_by_budget" not in rest
        # The first question's answer was kept; junk takes an answer and its repair.
        assert (rest["inputs"], rest["failed"], rest["cached"]) == ("2", "1", "1")
        assert len(server.requests) == 4 + 2


@pytest.fixture
def with_dead_letter(engine: Engine, database_url: str) -> str:
    (junk, _) = add_inputs(engine, ["junk please", HARMLESS])
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "insert into core.leases (task, item_id, attempts, failures, reason, last_error,"
            f" failed_at) values ('author', {junk}, 3, 3, 'invalid_answer', 'no [valid] answer',"
            f" now()); insert into core.leases (task, item_id) values ('author', {junk + 1})"
        )
    return database_url


def test_the_queue_is_shown_with_what_was_given_up(with_dead_letter: str) -> None:
    shown = _run(with_dead_letter, "queue").stdout
    assert "invalid_answer" in shown
    # Words of a model are shown as they are, never read as markup.
    assert "no [valid] answer" in shown
    found: dict[str, Any] = json.loads(_run(with_dead_letter, "queue", "--json").stdout)
    assert (found["open"], found["dead"], found["n_workers"]) == (1, 1, 0)
    assert found["dead_letters"][0]["reason"] == "invalid_answer"


def test_dead_letters_are_put_back(engine: Engine, with_dead_letter: str) -> None:
    refused = _run(with_dead_letter, "retry-failed", "--reason", "no_answer")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "invalid_answer" in refused.stderr
    assert "1 inputs are back" in _run(with_dead_letter, "retry-failed").stdout
    assert rows(engine, "select distinct state, failures from library.author_queue") == [
        ("open", 0)
    ]
    assert "no input was given up" in _run(with_dead_letter, "retry-failed").stdout
