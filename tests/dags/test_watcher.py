"""The watcher's trigger on a real Postgres: once for what is new, again after a restart."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from airflow.triggers.base import TriggerEvent
from sqlalchemy import Engine, text

from guidealign.authoring import plan_run
from guidealign.db import newest_waiting
from guidealign.errors import PermanentError, ServiceUnavailableError
from guidealign.ingest import bundled_inbox, file_source, inbox_source, ingest_source
from guidealign.settings import BudgetSettings, Settings
from guidealign_airflow.triggers import WaitingTrigger
from tests.integration.gateway_fixture import make_key


def _say(engine: Engine, key: int, words: str) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into core.inbox (response_id, key_id, text, occurred_at)"
                " values (:words, :key, :words, :at)"
            ),
            {"key": key, "words": words, "at": datetime.now(UTC)},
        )


def _waiting(url: str, what: str, after: int = 0) -> int | None:
    return asyncio.run(newest_waiting(url, what, after=after))


def test_what_waits_for_ingest_is_what_ingest_would_read(engine: Engine, database_url: str) -> None:
    assert _waiting(database_url, "inbox") is None
    key = make_key(engine, log="all").key_id
    for words in ("Are you there?", "And now?"):
        _say(engine, key, words)
    assert _waiting(database_url, "inbox") == 2
    assert _waiting(database_url, "inbox", after=2) is None
    ingest_source(inbox_source(), engine=engine, settings=Settings())
    assert _waiting(database_url, "inbox") is None
    silent = make_key(engine, "silent", log="off").key_id
    _say(engine, silent, "Not to be read?")
    assert _waiting(database_url, "inbox") is None


def test_what_waits_for_authoring_is_what_it_would_plan(engine: Engine, database_url: str) -> None:
    spec = file_source(bundled_inbox(), name="bundled")
    n_new = ingest_source(spec, engine=engine, settings=Settings()).n_new
    assert n_new > 0
    assert _waiting(database_url, "inputs") is not None
    plan_run(BudgetSettings(), engine=engine, settings=Settings())
    assert _waiting(database_url, "inputs") is None


def test_the_trigger_fires_once_for_each_time_something_came(
    engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GUIDEALIGN_DB", database_url.replace("+psycopg", ""))
    key = make_key(engine, log="all").key_id
    _say(engine, key, "First?")

    async def watch() -> list[TriggerEvent]:
        trigger = WaitingTrigger("inbox", poll_s=0.05)
        path, kwargs = trigger.serialize()
        assert path == "guidealign_airflow.triggers.WaitingTrigger"
        events = WaitingTrigger(**kwargs).run()
        found = [await anext(events)]
        late = asyncio.create_task(anext(events))
        await asyncio.sleep(0.5)
        assert not late.done()
        _say(engine, key, "Second?")
        _say(engine, key, "Third?")
        found.append(await asyncio.wait_for(late, 10))
        await events.aclose()
        # Nothing was read meanwhile: whoever starts anew is told again.
        again = WaitingTrigger(**kwargs).run()
        found.append(await asyncio.wait_for(anext(again), 10))
        await again.aclose()
        return found

    assert [event.payload["waiting"] for event in asyncio.run(watch())] == ["inbox"] * 3


def test_an_outage_is_said_and_a_missing_schema_too(empty_database_url: str) -> None:
    with pytest.raises(ServiceUnavailableError, match="does not answer"):
        _waiting("postgresql://nobody@127.0.0.1:9/nothing", "inbox")
    with pytest.raises(PermanentError, match="missing or old"):
        _waiting(empty_database_url, "inbox")
