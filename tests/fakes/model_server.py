"""A scriptable OpenAI-compatible chat server on 127.0.0.1.

    with serve_model(lambda request: "hello") as server:
        EndpointSettings(base_url=server.base_url)

The responder sees each request and returns the answer's text or a `Reply` (a status with
headers, a delay, a hang, a dropped connection, a raw body, a stream). It may be replaced while
the server runs: `server.responder = ...`.
"""

from __future__ import annotations

import json
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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
    raw: bytes = b""
    """The body as it came."""
    at: float = field(default_factory=time.monotonic)
    method: str = "POST"

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
    usage: dict[str, Any] | None = None
    """Reported in place of the words counted."""
    likelihoods: dict[str, float] | None = None
    """Of what could stand first, told to who asks; their logarithms go over the wire."""
    raw: bytes | None = None
    """Sent as the body in place of a chat completion."""
    content_type: str = "application/json"
    events: tuple[str, ...] | None = None
    """Sent one by one as server-sent events in place of a body."""
    event_delay_s: float = 0.0
    """Between two events."""
    break_off: bool = False
    """Closes the connection behind the last event, in the middle of another."""


Responder = Callable[[ChatRequest], "Reply | str"]


def json_reply(value: Any) -> Reply:
    """An answer whose text is JSON."""
    return Reply(text=json.dumps(value))


def chunks(*words: str, usage: bool = False) -> tuple[str, ...]:
    """A chat completion as the events of a stream, to its end."""

    def event(delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return json.dumps(
            {
                "id": "stub",
                "object": "chat.completion.chunk",
                "created": 0,
                "model": "stub",
                "choices": [choice],
                **more,
            }
        )

    last = {"usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}
    return (
        event({"role": "assistant", "content": ""}),
        *(event({"content": word}) for word in words),
        event({}, "stop", **(last if usage else {})),
        "[DONE]",
    )


class ModelServer:
    """The running stub: where it listens and what it was asked."""

    def __init__(self, responder: Responder) -> None:
        self.responder = responder
        self.requests: list[ChatRequest] = []
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self.in_flight = 0
        self.max_in_flight = 0
        self.models = ["stub"]
        self.broken_pipes = 0
        """Answers whose caller had gone away."""
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
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

    def answer(self, path: str, raw: bytes, headers: dict[str, str], method: str = "POST") -> Reply:
        """Records the request and asks the responder."""
        with self._lock:
            body, number = json.loads(raw or b"{}"), len(self.requests)
            request = ChatRequest(path, body, headers, number, raw, method=method)
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
    prompt = " ".join(str(message.get("content")) for message in request_body.get("messages", []))
    usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(reply.text.split())}
    return reply.usage or {**usage, "total_tokens": sum(usage.values())}


def _words(request_body: dict[str, Any], reply: Reply) -> tuple[str, ...]:
    """The answer as the events of a stream: its words, the end, the usage."""
    words = reply.text.split(" ")
    spaced = [*(word + " " for word in words[:-1]), words[-1]]
    *told, _, done = chunks(*spaced)
    head = {"id": "stub", "object": "chat.completion.chunk", "created": 0, "model": "stub"}
    finish = {"index": 0, "delta": {}, "finish_reason": reply.finish_reason}
    end = json.dumps({**head, "choices": [finish]})
    usage = json.dumps({**head, "choices": [], "usage": _usage(request_body, reply)})
    return (*told[1:], end, usage, done)


def _completion(request_body: dict[str, Any], reply: Reply) -> bytes:
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": reply.text},
        "finish_reason": reply.finish_reason,
    }
    if reply.likelihoods is not None and request_body.get("logprobs"):
        told = [
            {"token": token, "logprob": math.log(share)}
            for token, share in reply.likelihoods.items()
        ]
        choice["logprobs"] = {"content": [{**told[0], "top_logprobs": told}]}
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


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: ModelServer

    def do_GET(self) -> None:
        if not self.path.endswith("/models"):
            self._answer()
            return
        data = [{"id": name, "object": "model"} for name in self.stub.models]
        self._send(Reply(raw=json.dumps({"object": "list", "data": data}).encode()), {})

    def do_DELETE(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.stub.answer(self.path, raw, headers, self.command)
        body = json.loads(raw or b"{}")
        if body.get("stream") and reply.status == 200 and reply.events is None and not reply.raw:
            reply = replace(reply, events=_words(body, reply))
        if reply.drop or reply.hang:
            self._hang_up()
            return
        try:
            if reply.events is not None:
                self._stream(reply)
            else:
                self._send(reply, body)
        except (BrokenPipeError, ConnectionResetError):
            self.stub.broken_pipes += 1
            self.close_connection = True

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _stream(self, reply: Reply) -> None:
        self._head(reply, "text/event-stream; charset=utf-8", ("Transfer-Encoding", "chunked"))
        for event in reply.events or ():
            self._chunk(f"data: {event}\n\n".encode())
            self.stub.stopping.wait(reply.event_delay_s)
        if reply.break_off:
            self._chunk(b'data: {"half": "an ev')
            self._hang_up()
        else:
            self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, content: bytes) -> None:
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        self.wfile.flush()

    def _send(self, reply: Reply, body: dict[str, Any]) -> None:
        if reply.raw is not None:
            content = reply.raw
        elif reply.status == 200:
            content = _completion(body, reply)
        else:
            content = json.dumps({"error": {"message": reply.text or "no"}}).encode()
        self._head(reply, reply.content_type, ("Content-Length", str(len(content))))
        self.wfile.write(content)

    def _head(self, reply: Reply, content_type: str, length: tuple[str, str]) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", content_type)
        self.send_header(*length)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Stays silent."""


def _handler(server: ModelServer) -> type[BaseHTTPRequestHandler]:
    return type("Handler", (_Handler,), {"stub": server})
