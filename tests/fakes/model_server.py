"""A scriptable OpenAI-compatible chat server on 127.0.0.1.

    with serve_model(lambda request: "hello") as server:
        EndpointSettings(base_url=server.base_url)

The responder sees each request and returns the answer's text or a `Reply` (a status with
headers, a delay, a hang, a dropped connection, a raw body). It may be replaced while the
server runs: `server.responder = ...`. A request for a stream gets the text a word at a time.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class ChatRequest:
    """What a client asked."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    """By lower-case name."""
    number: int
    at: float = field(default_factory=time.monotonic)

    @property
    def messages(self) -> list[dict[str, str]]:
        return list(self.body.get("messages", []))

    @property
    def schema_name(self) -> str | None:
        """Name of the JSON schema asked for; None: free text."""
        response_format = self.body.get("response_format") or {}
        return (response_format.get("json_schema") or {}).get("name")

    @property
    def last(self) -> str:
        """Content of the last turn."""
        return self.messages[-1]["content"] if self.messages else ""


@dataclass(frozen=True)
class Reply:
    """How the server answers one request."""

    text: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    finish_reason: str = "stop"
    delay_s: float = 0.0
    hang: bool = False
    """Never answers; the connection closes when the server stops."""
    drop: bool = False
    """Closes the connection without an answer."""
    break_after: int | None = None
    """Closes the connection of a stream after so many words."""
    usage: dict[str, Any] | None = None
    """Reported in place of the words counted."""
    raw: bytes | None = None
    """Sent as the body in place of a chat completion."""
    content_type: str = "application/json"


Responder = Callable[[ChatRequest], "Reply | str"]


def json_reply(value: Any) -> Reply:
    """An answer whose text is JSON."""
    return Reply(text=json.dumps(value))


class ModelServer:
    """The running stub: where it listens and what it was asked."""

    def __init__(self, responder: Responder) -> None:
        self.responder = responder
        self.requests: list[ChatRequest] = []
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self.in_flight = 0
        self.max_in_flight = 0
        self._http = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"stub": self})
        )
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Reply:
        """Records the request and asks the responder."""
        with self._lock:
            request = ChatRequest(path, body, headers, len(self.requests))
            self.requests.append(request)
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            answer = self.responder(request)
            reply = Reply(text=answer) if isinstance(answer, str) else answer
            self.stopping.wait(3600 if reply.hang else reply.delay_s)
            return reply
        finally:
            with self._lock:
                self.in_flight -= 1


@contextmanager
def serve_model(responder: Responder) -> Iterator[ModelServer]:
    """Runs a stub for the length of the block."""
    server = ModelServer(responder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def unused_base_url() -> str:
    """A base URL on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


def _usage(request_body: dict[str, Any], reply: Reply) -> dict[str, Any]:
    prompt = " ".join(message["content"] for message in request_body.get("messages", []))
    usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(reply.text.split())}
    return reply.usage or {**usage, "total_tokens": sum(usage.values())}


def _completion(request_body: dict[str, Any], reply: Reply) -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": reply.text},
        "finish_reason": reply.finish_reason,
    }
    return json.dumps(
        {
            "id": "stub",
            "object": "chat.completion",
            "created": 0,
            "model": request_body.get("model", "stub"),
            "choices": [choice],
            "usage": _usage(request_body, reply),
        }
    ).encode()


def _events(request_body: dict[str, Any], reply: Reply) -> Iterator[bytes]:
    """Server-sent events of a stream: its words, the end, the usage."""
    head = {"id": "stub", "object": "chat.completion.chunk", "created": 0, "model": "stub"}

    def event(choices: list[dict[str, Any]], **more: Any) -> bytes:
        return b"data: " + json.dumps({**head, "choices": choices, **more}).encode() + b"\n\n"

    words = reply.text.split(" ")
    for number, word in enumerate(words):
        if number == reply.break_after:
            return
        delta = {"content": word if number == len(words) - 1 else word + " "}
        yield event([{"index": 0, "delta": delta, "finish_reason": None}])
    yield event([{"index": 0, "delta": {}, "finish_reason": reply.finish_reason}])
    yield event([], usage=_usage(request_body, reply))
    yield b"data: [DONE]\n\n"


class _Handler(BaseHTTPRequestHandler):
    """One connection; `stub` is set by the server it belongs to."""

    protocol_version = "HTTP/1.1"
    stub: ModelServer

    def do_GET(self) -> None:
        models = {"object": "list", "data": [{"id": "stub", "object": "model"}]}
        self._send(Reply(raw=json.dumps(models).encode()), {})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length) or b"{}")
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.stub.answer(self.path, body, headers)
        if reply.drop or reply.hang:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif body.get("stream") and reply.status == 200:
            self._stream(reply, body)
        else:
            self._send(reply, body)

    def _stream(self, reply: Reply, body: dict[str, Any]) -> None:
        self.close_connection = True
        self._head(200, {"Content-Type": "text/event-stream", "Connection": "close"})
        for event in _events(body, reply):
            self._write(event)

    def _send(self, reply: Reply, body: dict[str, Any]) -> None:
        if reply.raw is not None:
            content = reply.raw
        elif reply.status == 200:
            content = _completion(body, reply)
        else:
            content = json.dumps({"error": {"message": reply.text or "no"}}).encode()
        self._head(
            reply.status,
            {
                "Content-Type": reply.content_type,
                "Content-Length": str(len(content)),
                **reply.headers,
            },
        )
        self._write(content)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        with suppress(BrokenPipeError, ConnectionResetError):
            self.end_headers()

    def _write(self, content: bytes) -> None:
        try:
            self.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, *args: Any) -> None:
        """Stays silent."""
