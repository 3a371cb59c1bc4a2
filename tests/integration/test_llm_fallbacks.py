"""Other models where the first does not do, and answers that are read as they come."""

from __future__ import annotations

import asyncio

import pytest

from guidealign.errors import BadInputError, ConfigurationError
from guidealign.llm import AsyncChatClient, recorded_calls
from guidealign.settings import FallbackSettings
from tests.fakes.model_server import (
    ChatRequest,
    ModelServer,
    Reply,
    json_reply,
    serve_model,
    unused_base_url,
)
from tests.integration.llm_fixture import ASK, Answer, endpoint, play, say


def model_of(request: ChatRequest) -> str:
    return str(request.body["model"])


def test_the_next_model_answers_for_one_that_does_not() -> None:
    def respond(request: ChatRequest) -> Reply:
        return Reply(status=500) if model_of(request) == "m" else Reply(text="ok")

    async def scene(server: ModelServer, client: AsyncChatClient) -> None:
        with recorded_calls() as calls:
            result = await say(client)
        assert (result.text, result.model, client.model) == ("ok", "spare", "m")
        assert [(call.model, call.status, call.attempt) for call in calls] == [
            ("m", "error", 1),
            ("m", "error", 2),
            ("spare", "ok", 3),
        ]

    play(respond, scene, max_retries=1, fallbacks=[FallbackSettings(model="spare")])


def test_a_key_goes_to_its_own_server_alone() -> None:
    async def ask(url: str) -> None:
        settings = endpoint(
            unused_base_url(),
            api_key="secret",
            max_retries=0,
            fallbacks=[{"base_url": url}, {"base_url": url, "api_key": "other"}],
        )
        async with AsyncChatClient(settings, stage="t") as client:
            assert (await say(client)).text == "ok"

    def respond(request: ChatRequest) -> Reply:
        return Reply(status=500) if request.number == 0 else Reply(text="ok")

    with serve_model(respond) as server:
        asyncio.run(ask(server.base_url))
        keys = [request.headers["authorization"] for request in server.requests]
    assert keys == ["Bearer none", "Bearer other"]


def test_a_model_that_gives_nothing_usable_is_followed_by_the_next() -> None:
    def respond(request: ChatRequest) -> Reply:
        return Reply(text="no idea") if model_of(request) == "m" else json_reply({"verdict": True})

    async def scene(_server: ModelServer, client: AsyncChatClient) -> None:
        result = await client.complete_typed(ASK, Answer, temperature=0, max_tokens=5)
        assert (result.value.verdict, result.model) == (True, "spare")
        assert [(call.model, call.status) for call in result.calls] == [
            ("m", "invalid"),
            ("m", "invalid"),
            ("spare", "ok"),
        ]

    play(respond, scene, fallbacks=[FallbackSettings(model="spare")])


def test_a_refused_request_is_refused_everywhere() -> None:
    async def scene(server: ModelServer, client: AsyncChatClient) -> int:
        with pytest.raises(BadInputError):
            await say(client)
        return len(server.requests)

    spare = [FallbackSettings(model="spare")]
    assert play(lambda _: Reply(status=400, text="too long"), scene, fallbacks=spare) == 1


def test_when_nobody_answers_the_first_reason_is_given() -> None:
    def respond(request: ChatRequest) -> Reply:
        return Reply(status=404 if model_of(request) == "m" else 500)

    async def scene(server: ModelServer, client: AsyncChatClient) -> list[str]:
        with pytest.raises(ConfigurationError, match="no such model"):
            await say(client)
        return [model_of(request) for request in server.requests]

    fallbacks = [FallbackSettings(model="b"), FallbackSettings(model="c")]
    assert play(respond, scene, max_retries=0, fallbacks=fallbacks) == ["m", "b", "c"]


def test_a_server_that_is_left_alone_is_not_waited_for_if_another_can_answer() -> None:
    def respond(request: ChatRequest) -> Reply:
        return Reply(status=500) if model_of(request) == "m" else Reply(text="ok")

    async def scene(server: ModelServer, client: AsyncChatClient) -> list[str]:
        for _ in range(4):
            await say(client)
        return [model_of(request) for request in server.requests]

    asked = play(
        respond,
        scene,
        max_retries=0,
        breaker_failures=2,
        fallbacks=[FallbackSettings(model="spare")],
    )
    assert asked == ["m", "spare", "m", "spare", "spare", "spare"]


def test_plain_words_are_asked_of_an_endpoint_without_schemas() -> None:
    def respond(request: ChatRequest) -> Reply:
        if request.schema_name:
            return Reply(status=400, text="response_format is not supported")
        return Reply(text="perhaps" if request.number == 1 else "yes")

    def yes_or_no(text: str) -> Answer:
        if text not in {"yes", "no"}:
            raise ValueError("say yes or no")
        return Answer(verdict=text == "yes")

    async def scene(server: ModelServer, client: AsyncChatClient) -> None:
        result = await client.complete_typed(
            ASK, Answer, temperature=0, max_tokens=5, parse_text=yes_or_no
        )
        assert result.value.verdict is True
        assert [call.status for call in result.calls] == ["error", "invalid", "ok"]
        # The prompt as it was, then one repair turn that says what was wrong.
        assert server.requests[1].messages == ASK
        assert "say yes or no" in server.requests[2].last

    play(respond, scene)
