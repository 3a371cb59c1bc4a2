"""Settings propose a guidance policy, a release serves it, and a roll back restores the old one."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from guidealign.errors import BadInputError
from guidealign.promotion import (
    Note,
    adopt_library,
    adopt_policy,
    list_policies,
    proposal,
    rollback,
)
from guidealign.records import GUIDANCE_POLICY
from guidealign.registry import Registry
from guidealign.settings import RetrievalSettings, Settings, UpstreamSettings
from tests.fakes.mlflow_store import local_registry
from tests.fakes.model_server import serve_model
from tests.integration.authoring_fixture import rows
from tests.integration.running_gateway import publish, serve_gateway, wait_until

ASKED = "Where do I buy good kitchen knives and rude nicknames?"
NOTE = Note("ada", "one guideline does")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with local_registry(tmp_path_factory.mktemp("mlflow")) as made:
        yield made


def test_k_changes_with_a_release_and_comes_back_with_a_roll_back(
    engine: Engine, database_url: str, tmp_path: Path, registry: Registry
) -> None:
    first = publish(engine, tmp_path / "starter")
    edited = Settings(retrieval=RetrievalSettings(k=1))
    seen: dict[int, set[tuple[int, str]]] = defaultdict(set)
    stop = threading.Event()
    with serve_model(lambda _: "Hello.") as upstream:
        behind = [UpstreamSettings(name="stub", base_url=upstream.base_url, api_key="k")]
        with serve_gateway(database_url, behind, tmp_path / "kept") as gateway:

            def ask() -> None:
                with httpx.Client(timeout=30) as client:
                    while not stop.is_set():
                        body = {"model": "m", "messages": [{"role": "user", "content": ASKED}]}
                        answer = client.post(f"{gateway.base_url}/chat/completions", json=body)
                        assert answer.status_code == 200
                        shown = answer.headers["x-guidealign-guidelines"].split(",")
                        release = int(answer.headers["x-guidealign-release"])
                        seen[release].add((len(shown), answer.headers["x-guidealign-policy"]))

            callers = [threading.Thread(target=ask) for _ in range(3)]
            for caller in callers:
                caller.start()
            try:
                wait_until(lambda: first in seen)
                parts = {"engine": engine, "settings": edited, "registry": registry}
                found = proposal(engine=engine, settings=edited)
                assert [(c.name, c.old, c.new) for c in found.changes] == [("k", 2, 1)]
                assert "adopt" in (found.in_words() or "")
                # The edited settings are there, and a library is adopted under them: k stays.
                assert adopt_library(engine=engine, settings=edited, actor="x").policy.k == 2

                adopted = adopt_policy(found.policy, note=NOTE, **parts)
                wait_until(lambda: adopted.release_id in seen)
                with pytest.raises(BadInputError, match="is live already"):
                    adopt_policy(found.policy, note=NOTE, **parts)
                back = rollback(GUIDANCE_POLICY, actor="ada", reason="it does not", **parts)
                assert back.release_id is not None
                wait_until(lambda: back.release_id in seen)
            finally:
                stop.set()
                for caller in callers:
                    caller.join()

    names = {row.version: row.digest[:12] for row in list_policies(engine=engine)}
    assert dict(seen) == {
        first: {(2, names[1])},
        adopted.release_id: {(1, names[2])},
        back.release_id: {(2, names[1])},
    }
    assert rows(
        engine,
        "select model_name, action, from_version, to_version, release_id, actor, reason"
        " from library.promotions order by id",
    ) == [
        (GUIDANCE_POLICY, "promote", 1, 2, adopted.release_id, "ada", "one guideline does"),
        (GUIDANCE_POLICY, "rollback", 2, 1, back.release_id, "ada", "it does not"),
    ]
    assert rows(engine, "select policy_version from library.live_at()") == [(1,)]
    assert [(row.version, row.live, row.policy.k) for row in list_policies(engine=engine)] == [
        (2, False, 1),
        (1, True, 2),
    ]


def test_a_policy_needs_a_reason_and_something_live(
    engine: Engine, tmp_path: Path, registry: Registry
) -> None:
    edited = Settings(retrieval=RetrievalSettings(k=1))
    parts = {"engine": engine, "settings": edited, "registry": registry}
    policy = proposal(engine=engine, settings=edited).policy
    with pytest.raises(BadInputError, match="nothing was ever released"):
        adopt_policy(policy, note=NOTE, **parts)
    publish(engine, tmp_path / "starter")
    with pytest.raises(BadInputError, match="reason"):
        adopt_policy(policy, note=Note("ada", " "), **parts)
    with pytest.raises(BadInputError, match="no previous version"):
        rollback(GUIDANCE_POLICY, actor="ada", reason="back", **parts)


def test_a_stored_policy_does_not_change(engine: Engine, tmp_path: Path) -> None:
    publish(engine, tmp_path / "starter")
    for change in ("update core.guidance_policies set actor = 'x'",
                   "delete from core.guidance_policies"):  # fmt: skip
        with pytest.raises(Exception, match="append-only"), engine.begin() as connection:
            connection.exec_driver_sql(change)
