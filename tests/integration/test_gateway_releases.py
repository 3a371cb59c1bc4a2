"""What is served changes, or the database goes away, while requests are on their way."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import Engine, text

from guidealign.db import make_engine, migrate
from guidealign.errors import ServiceUnavailableError
from guidealign.guidance import Encoder, TopicThresholds
from guidealign.library import add_vectors
from guidealign.platform import temporary_postgres
from guidealign.settings import UpstreamSettings
from tests.fakes.model_server import ChatRequest, ModelServer, Reply, serve_model
from tests.integration.running_gateway import (
    Gateway,
    publish,
    release,
    serve_gateway,
    untrained,
    wait_until,
)

KNIVES = "Where do I buy good kitchen knives?"
_COPY = text(
    "insert into core.embeddings (retriever_version, guideline_id, embedding)"
    " select 1, guideline_id, embedding * cast(:minus as vector) from core.embeddings"
    " where retriever_version = 0"
)
_NARROW = text(
    "update core.guidelines set served = '{[1,2)}', state = 'retired', state_reason = 'test'"
    " where id <= 3"
)


class Mirrored:
    """The untrained encoder with every vector turned round.

    With its own vectors it finds what the untrained one finds; where vectors of one were compared
    with a query of the other, every score would have the wrong sign.
    """

    thresholds = TopicThresholds()

    def __init__(self) -> None:
        self._encoder = untrained(0)

    def encode(self, texts: Any, *, side: Any) -> Any:
        return -self._encoder.encode(texts, side=side)


def load(version: int) -> Encoder:
    return Mirrored() if version == 1 else untrained(0)


@pytest.fixture
def upstream() -> Iterator[ModelServer]:
    def slowly(request: ChatRequest) -> Reply:
        return Reply(text="Hello.", delay_s=0.01)

    with serve_model(slowly) as server:
        yield server


@pytest.fixture
def behind(upstream: ModelServer) -> list[UpstreamSettings]:
    return [UpstreamSettings(name="stub", base_url=upstream.base_url, api_key="k")]


def _mirror(engine: Engine) -> None:
    """Vectors of retriever version 1 for all guidelines."""
    with engine.begin() as connection:
        minus = "[" + ",".join(["-1"] * 384) + "]"
        connection.execute(_COPY, {"minus": minus})


def _ask(base_url: str, n: int = 0) -> httpx.Response:
    messages = [{"role": "user", "content": f"{KNIVES} {n}"}]
    return httpx.post(
        f"{base_url}/chat/completions", json={"model": "m", "messages": messages}, timeout=60
    )


def _answers_under(release_id: int, seen: list[httpx.Response]) -> bool:
    return seen[-1].headers["x-guidealign-release"] == str(release_id)


async def _callers(
    gateway: Gateway, stop: asyncio.Event, seen: list[httpx.Response], n: int
) -> None:
    async with httpx.AsyncClient(timeout=60) as client:

        async def ask(caller: int) -> None:
            turn = 0
            while not stop.is_set():
                turn += 1
                content = f"{KNIVES} {caller} {turn}"
                body = {"model": "m", "messages": [{"role": "user", "content": content}]}
                headers = {"x-guidealign-explain": "true"}
                seen.append(
                    await client.post(
                        f"{gateway.base_url}/chat/completions", json=body, headers=headers
                    )
                )

        await asyncio.gather(*(ask(i) for i in range(n)))


def test_a_switch_under_load_drops_nothing_and_mixes_nothing(
    engine: Engine, database_url: str, tmp_path: Path, behind: list[UpstreamSettings]
) -> None:
    publish(engine, tmp_path / "starter")
    _mirror(engine)
    seen: list[httpx.Response] = []

    async def switch_back_and_forth(gateway: Gateway) -> None:
        stop = asyncio.Event()
        callers = asyncio.create_task(_callers(gateway, stop, seen, 8))
        await asyncio.to_thread(wait_until, lambda: len(seen) > 20)
        for retriever in (1, 0, 1, 0):
            made = await asyncio.to_thread(release, engine, retriever=retriever)
            await asyncio.to_thread(wait_until, partial(_answers_under, made, seen))
        stop.set()
        await callers

    with serve_gateway(database_url, behind, tmp_path / "kept", load=load) as gateway:
        asyncio.run(asyncio.wait_for(switch_back_and_forth(gateway), 120))
    assert {answer.status_code for answer in seen} == {200}
    assert {answer.headers["x-guidealign-status"] for answer in seen} == {"injected"}
    fields = [answer.json()["guidealign"] for answer in seen]
    assert {field["release"] for field in fields} == {1, 2, 3, 4, 5}
    for field in fields:
        assert field["retriever_version"] == (field["release"] + 1) % 2
        assert not field["stale"]
        # About knives, and near: vectors and query came from the same encoder.
        assert field["guidelines"][0]["id"] in {4, 5, 6}
        assert field["guidelines"][0]["score"] > 0.2


def test_an_old_release_goes_when_its_last_request_ends(
    engine: Engine, database_url: str, tmp_path: Path, behind: list[UpstreamSettings]
) -> None:
    publish(engine, tmp_path / "starter")
    with serve_gateway(database_url, behind, tmp_path / "kept") as gateway:
        _ask(gateway.base_url)
        live = gateway.parts.guidance._live
        assert live is not None
        old = weakref.ref(live.snapshot)
        del live
        release(engine)
        wait_until(lambda: _ask(gateway.base_url).headers["x-guidealign-release"] == "2")
        gc.collect()
        assert old() is None


def test_a_release_that_cannot_be_loaded_leaves_the_old_one_serving(
    engine: Engine, database_url: str, tmp_path: Path, behind: list[UpstreamSettings]
) -> None:
    publish(engine, tmp_path / "starter")
    with serve_gateway(database_url, behind, tmp_path / "kept", load=load) as gateway:
        # Its library is not embedded under its retriever.
        release(engine, retriever=1)
        wait_until(lambda: "x-guidealign-stale" in _ask(gateway.base_url).headers)
        answer = _ask(gateway.base_url)
        assert answer.headers["x-guidealign-release"] == "1"
        assert answer.headers["x-guidealign-status"] == "injected"
        ready = httpx.get(f"{gateway.root}/readyz")
        assert (ready.status_code, ready.json()["stale"]) == (200, True)
        _mirror(engine)
        wait_until(lambda: _ask(gateway.base_url).headers["x-guidealign-release"] == "2")
        assert "x-guidealign-stale" not in _ask(gateway.base_url).headers


@pytest.mark.parametrize("exact_up_to", [0, 1000])
def test_without_the_database_the_last_good_release_serves_also_over_a_restart(
    tmp_path: Path, behind: list[UpstreamSettings], exact_up_to: int
) -> None:
    kept = tmp_path / "kept"
    with ExitStack() as stack:
        url = stack.enter_context(temporary_postgres({"fsync": "off"}))
        migrate(url)
        # Connections from before the migration do not know the type of vectors.
        make_engine(url).dispose()
        publish(make_engine(url), tmp_path / "starter")
        with serve_gateway(url, behind, kept, exact_up_to=exact_up_to) as gateway:
            before = _ask(gateway.base_url)
            assert "x-guidealign-stale" not in before.headers
            stack.close()
            wait_until(lambda: "x-guidealign-stale" in _ask(gateway.base_url).headers)
            after = _ask(gateway.base_url)
            assert after.status_code == 200
            for name in ("status", "guidelines", "release"):
                header = f"x-guidealign-{name}"
                assert after.headers[header] == before.headers[header]
        with serve_gateway(url, behind, kept, exact_up_to=exact_up_to) as gateway:
            again = _ask(gateway.base_url)
            assert (
                again.headers["x-guidealign-guidelines"]
                == (before.headers["x-guidealign-guidelines"])
            )
            assert again.headers["x-guidealign-stale"] == "true"
        # What somebody has changed on disk is not served.
        (folder,) = kept.glob("release-*")
        words = json.loads((folder / "guidelines.json").read_text())
        words["texts"][0] = "Obey."
        (folder / "guidelines.json").write_text(json.dumps(words))
        with serve_gateway(url, behind, kept) as gateway:
            assert httpx.get(f"{gateway.root}/readyz").status_code == 503
            assert _ask(gateway.base_url).headers["x-guidealign-status"] == "unguided"
    make_engine(url).dispose()


def test_a_folder_that_cannot_be_written_costs_only_the_restart(
    engine: Engine, database_url: str, tmp_path: Path, behind: list[UpstreamSettings]
) -> None:
    publish(engine, tmp_path / "starter")
    (tmp_path / "kept").write_text("a file where the folder should be")
    with serve_gateway(database_url, behind, tmp_path / "kept") as gateway:
        assert _ask(gateway.base_url).headers["x-guidealign-status"] == "injected"


def test_a_large_library_is_searched_in_postgres(
    engine: Engine, database_url: str, tmp_path: Path, behind: list[UpstreamSettings]
) -> None:
    publish(engine, tmp_path / "starter")
    with serve_gateway(database_url, behind, tmp_path / "small") as gateway:
        in_memory = _ask(gateway.base_url).headers["x-guidealign-guidelines"]
    with serve_gateway(database_url, behind, tmp_path / "large", exact_up_to=5) as gateway:
        shutil.rmtree(tmp_path / "large")
        assert _ask(gateway.base_url).headers["x-guidealign-guidelines"] == in_memory
        # It was not the snapshot that answered: a guideline that only Postgres knows is found.
        with engine.begin() as connection:
            near = untrained(0).encode([f"{KNIVES} 1"], side="input")
            connection.execute(
                text("delete from core.embeddings where guideline_id = 6 and retriever_version=0")
            )
            add_vectors(connection, 0, [6], np.asarray(near))
        found = _ask(gateway.base_url, 1).headers["x-guidealign-guidelines"]
        assert found.startswith("6:1.0000")


def test_nothing_live_is_an_error_of_the_engine(
    engine: Engine, database_url: str, tmp_path: Path, behind: list[UpstreamSettings]
) -> None:
    with (
        serve_gateway(database_url, behind, tmp_path / "kept") as gateway,
        pytest.raises(ServiceUnavailableError, match="nothing was ever released"),
    ):
        gateway.parts.guidance.find(["x"])
