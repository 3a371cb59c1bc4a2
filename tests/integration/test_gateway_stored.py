"""Stored responses: read, deleted and cancelled at the upstream that keeps them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import openai
import pytest
from openai import OpenAI
from sqlalchemy import Engine

from guidealign.settings import UpstreamSettings
from tests.fakes.model_server import (
    ChatRequest,
    ModelServer,
    Reply,
    serve_model,
    unused_base_url,
)
from tests.integration.running_gateway import Gateway, serve_gateway

KEPT = "/v1/responses/resp_1"


class Keeper:
    """Keeps one response until it is deleted."""

    def __init__(self, response_id: str) -> None:
        self.response_id = response_id
        self.deleted = False

    def __call__(self, request: ChatRequest) -> Reply:
        path, _, query = request.path.partition("?")
        _, _, response_id, *rest = path.strip("/").split("/")
        if response_id != self.response_id or self.deleted:
            return Reply(status=404, text=f"no response {response_id}")
        if request.method == "DELETE":
            self.deleted = True
            said = {"id": response_id, "object": "response", "deleted": True}
        elif rest == ["input_items"]:
            said = {"object": "list", "data": [], "has_more": False, "asked": query}
        elif "stream=true" in query:
            return Reply(events=(json.dumps({"type": "response.completed"}),))
        else:
            status = "cancelled" if rest == ["cancel"] else "completed"
            said = {"id": response_id, "object": "response", "status": status, "output": []}
        return Reply(raw=json.dumps(said).encode())


@pytest.fixture
def keepers() -> Iterator[list[ModelServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(serve_model(Keeper(f"resp_{n}"))) for n in (1, 2)]


def _upstream(server: ModelServer, *models: str) -> UpstreamSettings:
    return UpstreamSettings(models=list(models), base_url=server.base_url, api_key="upstream-key")


@pytest.fixture
def gateway(
    engine: Engine, database_url: str, tmp_path: Path, keepers: list[ModelServer]
) -> Iterator[Gateway]:
    """One upstream, and nothing released: stored responses need no retriever."""
    del engine
    with serve_gateway(database_url, [_upstream(keepers[0], "*")], tmp_path / "kept") as running:
        yield running


def test_the_only_upstream_is_asked(gateway: Gateway, keepers: list[ModelServer]) -> None:
    with OpenAI(base_url=gateway.base_url, api_key="caller-key", max_retries=0) as client:
        raw = client.responses.with_raw_response.retrieve("resp_1", include=["reasoning.encrypted"])
        assert raw.parse().status == "completed"
        assert raw.headers["x-guidealign-upstream"] == keepers[0].base_url[7:-3]
        assert raw.headers["x-ratelimit-remaining-requests"] == "41"
        items = client.responses.input_items.list("resp_1", limit=2, after="item_0")
        assert items.data == []
        streamed = client.responses.retrieve("resp_1", stream=True)
        assert [event.type for event in streamed] == ["response.completed"]
        assert client.responses.cancel("resp_1").status == "cancelled"
        client.responses.delete("resp_1")
        with pytest.raises(openai.NotFoundError, match="no response resp_1"):
            client.responses.retrieve("resp_1")
    asked = keepers[0].requests
    assert [(r.method, r.path.partition("?")[0]) for r in asked] == [
        ("GET", KEPT),
        ("GET", f"{KEPT}/input_items"),
        ("GET", KEPT),
        ("POST", f"{KEPT}/cancel"),
        ("DELETE", KEPT),
        ("GET", KEPT),
    ]
    assert "reasoning.encrypted" in asked[0].path
    assert {"limit=2", "after=item_0"} == set(asked[1].path.partition("?")[2].split("&"))
    assert {r.headers["authorization"] for r in asked} == {"Bearer upstream-key"}
    # They are not requests to a model: nothing is recorded of them.
    assert gateway.gate.records == []


def test_of_several_upstreams_the_model_says_which(
    engine: Engine, database_url: str, tmp_path: Path, keepers: list[ModelServer]
) -> None:
    del engine
    behind = [_upstream(keepers[0], "one"), _upstream(keepers[1], "two", "one")]
    with serve_gateway(database_url, behind, tmp_path / "kept") as gateway:
        root = f"{gateway.base_url}/responses"
        unsaid = httpx.get(f"{root}/resp_1")
        assert (unsaid.status_code, unsaid.json()["error"]["code"]) == (400, "model_required")
        assert unsaid.json()["error"]["param"] == "model"
        assert httpx.get(f"{root}/resp_1", params={"model": "one"}).json()["id"] == "resp_1"
        # Both have the model `one`, and the second may have answered in the first one's place.
        assert httpx.get(f"{root}/resp_2", params={"model": "one"}).json()["id"] == "resp_2"
        assert httpx.get(f"{root}/resp_1", params={"model": "two"}).status_code == 404
        nobodys = httpx.get(f"{root}/resp_9", params={"model": "one"})
        assert (nobodys.status_code, nobodys.json()["error"]["message"]) == (
            404,
            "no response resp_9",
        )
        unknown = httpx.delete(f"{root}/resp_1", params={"model": "three"})
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
    # The parameter is the gateway's own.
    assert {r.path for server in keepers for r in server.requests} == {
        "/v1/responses/resp_1",
        "/v1/responses/resp_2",
        "/v1/responses/resp_9",
    }


def test_who_cannot_be_asked_is_not_taken_for_who_does_not_know(
    engine: Engine, database_url: str, tmp_path: Path, keepers: list[ModelServer]
) -> None:
    del engine
    away = UpstreamSettings(name="away", base_url=unused_base_url(), api_key="k")
    with serve_gateway(
        database_url, [away, _upstream(keepers[0], "*")], tmp_path / "kept"
    ) as gateway:
        root = f"{gateway.base_url}/responses"
        assert httpx.get(f"{root}/resp_1", params={"model": "m"}).json()["id"] == "resp_1"
        missing = httpx.get(f"{root}/resp_9", params={"model": "m"})
        assert (missing.status_code, missing.json()["error"]["code"]) == (
            502,
            "upstream_unreachable",
        )


def test_an_id_is_no_other_path_and_errors_come_in_openais_format(
    gateway: Gateway, keepers: list[ModelServer]
) -> None:
    for wrong in ("%2E%2E", "..;", "-", "a b", "a%3Fb", "%C3%A4", "x" * 501):
        refused = httpx.get(f"{gateway.base_url}/responses/{wrong}")
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "response_id")
    keepers[0].responder = lambda _: Reply(status=500, raw=b"<html>broken</html>")
    broken = httpx.get(f"{gateway.base_url}/responses/resp_1")
    assert broken.status_code == 500
    assert broken.json()["error"]["code"] == "upstream_error"
    keepers[0].responder = lambda _: Reply(raw=b"[]")
    nonsense = httpx.get(f"{gateway.base_url}/responses/resp_1")
    assert (nonsense.status_code, nonsense.json()["error"]["code"]) == (502, "upstream_nonsense")
