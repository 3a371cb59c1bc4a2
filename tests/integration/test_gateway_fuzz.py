"""Whatever comes over the wire: no 500, no hang, errors in OpenAI's format."""

from __future__ import annotations

import io
import json
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, Self

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import checks
from sqlalchemy import Engine

from guidealign.settings import UpstreamSettings
from tests.fakes.model_server import ModelServer, serve_model
from tests.integration.running_gateway import Gateway, publish, serve_gateway

_PATHS = ("/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/guidelines/retrieve")
_HANG_S = 20.0
"""Far above what an answer takes; the settings below give up after a second."""
_MOST_BYTES = 100_000
_IN_A_TEST = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_CHECKS = (
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
)


@pytest.fixture
def upstream() -> Iterator[ModelServer]:
    with serve_model(lambda _: "Hello.") as server:
        yield server


@pytest.fixture
def gateway(
    engine: Engine, database_url: str, tmp_path: Path, upstream: ModelServer
) -> Iterator[Gateway]:
    publish(engine, tmp_path / "starter")
    behind = UpstreamSettings(name="stub", base_url=upstream.base_url, api_key="upstream-key")
    with serve_gateway(
        database_url,
        [behind],
        tmp_path / "kept",
        max_body_bytes=_MOST_BYTES,
        client_timeout_s=1.0,
    ) as running:
        yield running


def test_every_path_answers_as_its_description_says(gateway: Gateway) -> None:
    described = schemathesis.openapi.from_url(f"{gateway.root}/openapi.json")
    operations = [operation.ok() for operation in described.get_all_operations()]
    assert {operation.path for operation in operations} >= set(_PATHS)

    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(_IN_A_TEST, max_examples=40)
        def answers_as_described(case: Any) -> None:
            case.call_and_validate(checks=list(_CHECKS), timeout=_HANG_S)

        answers_as_described()


class _Connection:
    """A raw connection that reads answers one after the other."""

    def __init__(self, gateway: Gateway) -> None:
        self._socket = socket.create_connection(("127.0.0.1", gateway.port), timeout=_HANG_S)
        self._file = _Kept(self._socket)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def makefile(self, *_: object) -> io.BufferedReader:
        """As `HTTPResponse` wants it; what is read ahead stays for the next answer."""
        return self._file

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        response = HTTPResponse(self, method="POST")  # type: ignore[arg-type]
        response.begin()
        return response.status, response.read()

    def has_answer(self, within_s: float) -> bool:
        """Whether something comes in time."""
        return bool(select.select([self._socket], [], [], within_s)[0])

    def is_closed(self) -> bool:
        """Waits for the other side to close the connection."""
        return self._file.read(1) == b""


class _Kept(io.BufferedReader):
    """A reader that outlives the answers read from it."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(socket.SocketIO(connection, "r"))

    def close(self) -> None:
        """Stays open: the connection ends with its test."""


def _head(path: str, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _request(body: bytes, path: str = _PATHS[0]) -> bytes:
    return _head(path, f"Content-Length: {len(body)}") + body


def _chat(words: str) -> bytes:
    body = {"model": "stub", "messages": [{"role": "user", "content": words}]}
    return _request(json.dumps(body).encode())


def _ask(gateway: Gateway, request: bytes) -> tuple[int, bytes]:
    with _Connection(gateway) as connection:
        connection.send(request)
        return connection.answer()


def _assert_refused(answer: tuple[int, bytes], *statuses: int) -> None:
    status, body = answer
    assert status in statuses
    error = json.loads(body)["error"]
    assert error["message"]
    assert {"type", "param", "code"} <= error.keys()


_MALFORMED = {
    "nothing": b"",
    "no JSON": b"how are you?",
    "cut": b'{"model": "stub", "messages": [{"role": "us',
    "an array": b"[]",
    "a number": b"7",
    "null": b"null",
    "not a number": b'{"model": "stub", "messages": NaN}',
    "a byte that is no UTF-8": b'{"model": "stub", "messages": "\xff"}',
    "half a surrogate in UTF-8": b'{"model": "\xed\xa0\x80", "messages": []}',
    "UTF-16": '{"model": "stub"}'.encode("utf-16"),
    "a control character": b'{"model": "stub", "messages": "\x00"}',
    "deep": b'{"model":' * 10_000,
    "deep arrays": b'{"model": "stub", "messages": ' + b"[" * 40_000 + b"]" * 40_000 + b"}",
    "a name twice": b'{"model": "stub", "model": "other", "messages": []}',
    "words behind": b'{"model": "stub", "messages": []} and more',
    "a model that is a list": b'{"model": [], "messages": [{"role": "user"}]}',
    "messages that are words": b'{"model": "stub", "messages": "hello"}',
    "a message that is null": b'{"model": "stub", "messages": [null]}',
    "overrides that are words": b'{"model": "stub", "messages": [{"role": "user", "content":'
    b' "x"}], "guidealign": "off"}',
    "a number of endless digits": b'{"model": "stub", "messages": ' + b"9" * 50_000 + b"}",
}


def test_malformed_bodies_are_refused(gateway: Gateway, upstream: ModelServer) -> None:
    for what, body in _MALFORMED.items():
        status, answer = _ask(gateway, _request(body))
        assert (what, status) == (what, 400)
        _assert_refused((status, answer), 400)
    assert upstream.requests == []


@given(path=st.sampled_from(_PATHS), body=st.binary(max_size=300))
@settings(_IN_A_TEST, max_examples=150)
def test_no_bytes_make_it_fail(gateway: Gateway, path: str, body: bytes) -> None:
    _assert_refused(_ask(gateway, _request(body, path)), 400)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "k", "risks", "off", "name"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(
    path=st.sampled_from(_PATHS),
    members=st.dictionaries(
        st.sampled_from(
            ["model", "messages", "input", "stream", "guidealign", "instructions", "max_tokens"]
        ),
        _VALUES,
        max_size=5,
    ),
)
@settings(_IN_A_TEST, max_examples=200)
def test_no_values_make_it_fail(gateway: Gateway, path: str, members: dict[str, Any]) -> None:
    status, body = _ask(gateway, _request(json.dumps(members).encode(), path))
    if status != 200:
        _assert_refused((status, body), 400, 404)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(_head(_PATHS[0], "Content-Length: 99999999999"), id="announced"),
        pytest.param(
            _head(_PATHS[0], "Transfer-Encoding: chunked")
            + b"10000\r\n" + b"x" * 65_536 + b"\r\n" + b"10000\r\n" + b"x" * 65_536 + b"\r\n",
            id="in chunks, without an end",
        ),
    ],
)  # fmt: skip
def test_a_huge_body_is_refused_before_it_is_all_there(
    gateway: Gateway, upstream: ModelServer, request_: bytes
) -> None:
    _assert_refused(_ask(gateway, request_), 413)
    assert upstream.requests == []


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100, id="TLS"),
        pytest.param(b"GET\r\n\r\n", id="half a line"),
        pytest.param(_head(_PATHS[0], "Content-Length: -1"), id="a negative length"),
        pytest.param(
            _head(_PATHS[0], "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
            id="two lengths",
        ),
        pytest.param(
            _head(_PATHS[0], "Transfer-Encoding: chunked") + b"zz\r\n", id="a chunk of no size"
        ),
    ],
)
def test_what_is_no_http_ends_its_connection_and_nothing_else(
    gateway: Gateway, request_: bytes
) -> None:
    with _Connection(gateway) as connection:
        connection.send(request_)
        status, _ = connection.answer()
        assert status == 400
        assert connection.is_closed()
    assert _ask(gateway, _chat("Hello?"))[0] == 200


def test_pipelined_requests_are_answered_in_their_order(
    gateway: Gateway, upstream: ModelServer
) -> None:
    upstream.responder = lambda request: request.last.partition("\n\n")[0]
    asked = [f"Question {number}?" for number in range(20)]
    with _Connection(gateway) as connection:
        connection.send(b"".join(map(_chat, asked[:10])) + _request(b"{") + _chat(asked[10]))
        connection.send(b"".join(map(_chat, asked[11:])))
        answers = [connection.answer() for _ in range(len(asked) + 1)]
    _assert_refused(answers.pop(10), 400)
    said = [json.loads(body)["choices"][0]["message"]["content"] for _, body in answers]
    assert said == asked


def test_slow_callers_keep_nobody_waiting(gateway: Gateway) -> None:
    with ExitStack() as stack:
        connections = []
        for number in range(100):
            connections.append(stack.enter_context(_Connection(gateway)))
            # Half of them stop in the middle of their head, half in the middle of their body.
            request = _chat("Hello?")
            connections[-1].send(request[: 40 if number % 2 else -10])
        started = time.monotonic()
        assert _ask(gateway, _chat("Hello?"))[0] == 200
        # One behind the other, a hundred that may take a second each would be far above.
        assert time.monotonic() - started < _HANG_S
        for connection in connections[::2]:
            _assert_refused(connection.answer(), 408)


def test_who_never_gets_to_a_request_is_cut_off(gateway: Gateway) -> None:
    head = _chat("Hello?")[:60]
    with ExitStack() as stack:
        connections = [stack.enter_context(_Connection(gateway)) for _ in range(50)]
        for number, connection in enumerate(connections):
            if number % 3 == 1:
                # One answer first: what is kept alive has the same time.
                connection.send(_chat("Hello?"))
                assert connection.answer()[0] == 200
            if number % 3:
                connection.send(head[:40])
        for byte in head[40:]:
            for connection in connections[2::3]:
                # Bytes that come one by one buy no time.
                with suppress(BrokenPipeError, ConnectionResetError):
                    connection.send(bytes([byte]))
            time.sleep(0.06)
        for number, connection in enumerate(connections):
            if number % 3:
                _assert_refused(connection.answer(), 408)
            assert connection.is_closed()
    assert _ask(gateway, _chat("Hello?"))[0] == 200


def test_a_caller_that_dribbles_is_cut_off(gateway: Gateway) -> None:
    request = _chat("Hello?")
    head, body = request[: request.index(b"{")], request[request.index(b"{") :]
    with _Connection(gateway) as connection:
        connection.send(head)
        for byte in body:
            # Each byte comes in good time; together they take too long.
            connection.send(bytes([byte]))
            if connection.has_answer(within_s=0.1):
                break
        _assert_refused(connection.answer(), 408)
