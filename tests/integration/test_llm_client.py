"""The chat client against a server that misbehaves in every way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import BaseModel, ConfigDict

from guidealign.errors import (
    BadInputError,
    ConfigurationError,
    ModelOutputError,
    RateLimitedError,
    ServiceUnavailableError,
)
from guidealign.llm import ChatClient, recorded_calls, run_many
from guidealign.settings import EndpointSettings
from tests.fakes.model_server import (
    ChatRequest,
    ModelServer,
    Reply,
    Responder,
    json_reply,
    serve_model,
    unused_base_url,
)

ASK = [{"role": "user", "content": "hello"}]


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    verdict: bool


def endpoint(base_url: str | None, **changes: object) -> EndpointSettings:
    values = {"base_url": base_url, "model": "m", "timeout_s": 5.0, "max_retries": 2, **changes}
    return EndpointSettings.model_validate(values)


@contextmanager
def talk(responder: Responder, **changes: object) -> Iterator[tuple[ModelServer, ChatClient]]:
    with (
        serve_model(responder) as server,
        ChatClient(endpoint(server.base_url, **changes), stage="t") as client,
    ):
        yield server, client


def test_complete_returns_text_and_usage() -> None:
    with talk(lambda _: "two words") as (server, client), recorded_calls() as calls:
        result = client.complete(ASK, temperature=0.5, max_tokens=9, seed=3)
    assert (result.text, result.finish_reason, result.model) == ("two words", "stop", "m")
    # The stub counts words: "hello" and "two words".
    assert (result.prompt_tokens, result.completion_tokens) == (1, 2)
    body = server.requests[0].body
    assert (body["temperature"], body["max_tokens"], body["seed"]) == (0.5, 9, 3)
    assert [(call.stage, call.status, call.completion_tokens) for call in calls] == [("t", "ok", 2)]


def test_retry_after_is_honoured_then_answered() -> None:
    def respond(request: ChatRequest) -> Reply | str:
        return Reply(status=429, headers={"Retry-After": "1"}) if request.number == 0 else "ok"

    with talk(respond) as (server, client), recorded_calls() as calls:
        assert client.complete(ASK, temperature=0, max_tokens=5).text == "ok"
    assert server.requests[1].at - server.requests[0].at >= 1.0
    assert [(call.status, call.attempt) for call in calls] == [("error", 1), ("ok", 2)]


def test_a_long_retry_after_is_left_to_the_scheduler() -> None:
    with (
        talk(lambda _: Reply(status=429, headers={"Retry-After": "900"})) as (server, client),
        pytest.raises(RateLimitedError) as caught,
    ):
        client.complete(ASK, temperature=0, max_tokens=5)
    assert caught.value.retry_after_s == 900
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=500),
        Reply(status=503),
        Reply(drop=True),
        Reply(raw=b"<html>proxy</html>", content_type="text/html"),
        Reply(raw=b"not json"),
        Reply(raw=b'{"choices": []}'),
    ],
    ids=["500", "503", "drop", "html", "broken-json", "no-choices"],
)
def test_what_may_pass_is_tried_again_then_reported(reply: Reply) -> None:
    with (
        talk(lambda _: reply, max_retries=1) as (server, client),
        recorded_calls() as calls,
        pytest.raises(ServiceUnavailableError),
    ):
        client.complete(ASK, temperature=0, max_tokens=5)
    assert len(server.requests) == 2
    assert [call.status for call in calls] == ["error", "error"]


def test_a_hanging_server_times_out() -> None:
    with serve_model(lambda _: Reply(hang=True)) as server:
        slow = endpoint(server.base_url, timeout_s=0.3, max_retries=0)
        with ChatClient(slow, stage="t") as client:
            started = time.monotonic()
            with pytest.raises(ServiceUnavailableError, match=r"within 0\.3 s"):
                client.complete(ASK, temperature=0, max_tokens=5)
            assert time.monotonic() - started < 5


def test_a_server_that_is_down_is_named() -> None:
    url = unused_base_url()
    with (
        ChatClient(endpoint(url, max_retries=0), stage="t") as client,
        pytest.raises(ServiceUnavailableError, match=url.split("/")[2]),
    ):
        client.complete(ASK, temperature=0, max_tokens=5)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadInputError),
        (422, BadInputError),
        (401, ConfigurationError),
        (403, ConfigurationError),
        (404, ConfigurationError),
    ],
)
def test_what_cannot_pass_is_not_tried_again(status: int, kind: type[Exception]) -> None:
    with (
        talk(lambda _: Reply(status=status, text="too long")) as (server, client),
        pytest.raises(kind),
    ):
        client.complete(ASK, temperature=0, max_tokens=5)
    assert len(server.requests) == 1


def test_no_endpoint_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="guidealign up"):
        ChatClient(endpoint(None), stage="t")


def test_typed_answers_ask_for_the_schema_and_survive_a_code_fence() -> None:
    with talk(lambda _: 'Sure:\n```json\n{"verdict": true}\n```') as (server, client):
        result = client.complete_typed(ASK, Answer, temperature=0, max_tokens=5)
    assert result.value.verdict is True
    assert [call.status for call in result.calls] == ["ok"]
    assert server.requests[0].schema_name == "Answer"


def test_one_repair_turn_shows_what_was_wrong() -> None:
    def respond(request: ChatRequest) -> Reply:
        return json_reply({"verdict": "perhaps"} if request.number == 0 else {"verdict": False})

    with talk(respond) as (server, client):
        result = client.complete_typed(ASK, Answer, temperature=0, max_tokens=5)
    assert result.value.verdict is False
    assert [call.status for call in result.calls] == ["invalid", "ok"]
    assert [message["role"] for message in server.requests[1].messages] == [
        "user",
        "assistant",
        "user",
    ]
    assert "verdict" in server.requests[1].last


def test_junk_twice_is_a_model_output_error_with_its_calls() -> None:
    with (
        talk(lambda _: "no idea") as (server, client),
        pytest.raises(ModelOutputError) as caught,
    ):
        client.complete_typed(ASK, Answer, temperature=0, max_tokens=5)
    assert [call.status for call in caught.value.calls] == ["invalid", "invalid"]
    assert len(server.requests) == 2


def test_an_endpoint_without_schemas_is_asked_in_words() -> None:
    def respond(request: ChatRequest) -> Reply:
        if request.schema_name:
            return Reply(status=400, text="response_format json_schema is not supported")
        return json_reply({"verdict": True})

    with talk(respond) as (server, client):
        for _ in range(2):
            assert client.complete_typed(ASK, Answer, temperature=0, max_tokens=5).value.verdict
    # Refused once, then asked in words; the second question does not try the schema again.
    assert [request.schema_name for request in server.requests] == ["Answer", None, None]
    assert '"verdict"' in server.requests[1].last


def test_concurrency_is_bounded_and_order_is_kept() -> None:
    def respond(request: ChatRequest) -> Reply:
        return Reply(text=request.last, delay_s=0.05)

    with talk(respond, concurrency=2) as (server, client):

        def ask(number: int) -> str:
            turn = [{"role": "user", "content": str(number)}]
            return client.complete(turn, temperature=0, max_tokens=5).text

        assert run_many(range(8), ask, 8) == [str(number) for number in range(8)]
    assert server.max_in_flight == 2


def test_run_many_tries_every_item_before_it_raises() -> None:
    seen: list[int] = []

    def work(number: int) -> int:
        seen.append(number)
        if number == 1:
            raise BadInputError("one is bad")
        return number

    with pytest.raises(BadInputError, match="one is bad"):
        run_many(range(4), work, 2)
    assert sorted(seen) == [0, 1, 2, 3]


def test_recorded_calls_are_those_of_the_thread() -> None:
    with talk(lambda _: "x") as (_server, client):

        def ask(_: int) -> int:
            with recorded_calls() as calls:
                client.complete(ASK, temperature=0, max_tokens=5)
            return len(calls)

        assert run_many(range(4), ask, 4) == [1, 1, 1, 1]
