"""An upstream that costs nothing: OpenAI's chat API over asyncio, with a set latency and faults.

It answers what it was asked in a form that can be checked: the caller's mark, a checksum of the
last user message, and the numbers of the guidelines that stood in front of it.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import random
import re
import socket
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import uvloop

HOST = "127.0.0.1"
MODEL = "bench"
N_CHUNKS = 16
"""Of a streamed answer; each is a token or so."""
CHUNK_GAP_S = 0.002
FAULTS = ("500", "429", "cut", "broken", "hang")
"""What a faulty request gets: an error, an error, no or half an answer, no JSON, silence."""
_GUIDELINE = re.compile(r"\bGuideline (\d+): ")
_END = b"\r\n\r\n"
_HANG_S = 30.0
_PADDING = " and so it goes on with words" * 8
_CONTEXT = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Stub:
    """A running stub."""

    base_url: str
    """With `/v1`."""
    _latency_ms: Any
    _fault_share: Any
    _faults: Any

    def set_latency(self, milliseconds: float) -> None:
        """From a request's arrival to the first byte of its answer."""
        self._latency_ms.value = milliseconds

    def set_fault_share(self, share: float) -> None:
        """Of requests that get one of `FAULTS`."""
        self._fault_share.value = share

    @property
    def n_faults(self) -> int:
        """Requests that got a fault so far."""
        return int(self._faults.value)


def checksum(text: str) -> int:
    """Of a user message, as the stub reports it."""
    return zlib.crc32(text.encode())


@contextmanager
def running_stub(latency_ms: float) -> Iterator[Stub]:
    """A stub in a process of its own, for as long as the block lasts."""
    ours, theirs = _CONTEXT.Pipe()
    latency, share = _CONTEXT.Value("d", latency_ms), _CONTEXT.Value("d", 0.0)
    faults = _CONTEXT.Value("q", 0)
    process = _CONTEXT.Process(
        target=_serve, args=(theirs, latency, share, faults), daemon=True, name="stub"
    )
    process.start()
    try:
        port = ours.recv()
        yield Stub(f"http://{HOST}:{port}/v1", latency, share, faults)
    finally:
        process.terminate()
        process.join()


def _serve(pipe: Connection, latency: Any, share: Any, faults: Any) -> None:
    uvloop.run(_forever(pipe, latency, share, faults))


async def _forever(pipe: Connection, latency: Any, share: Any, faults: Any) -> None:
    listener = socket.create_server((HOST, 0), backlog=1024)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Answering(latency, share, faults), sock=listener)
    pipe.send(listener.getsockname()[1])
    async with server:
        await server.serve_forever()


class _Answering(asyncio.Protocol):
    """One connection: requests one after the other, kept alive."""

    def __init__(self, latency: Any, share: Any, faults: Any) -> None:
        self._latency, self._share, self._faults = latency, share, faults
        self._received = bytearray()
        self._busy = False
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._busy:
            self._next()

    def _next(self) -> None:
        end = self._received.find(_END)
        if end < 0:
            return
        head = bytes(self._received[:end]).lower()
        _, _, length = head.partition(b"content-length:")
        size = int(length.split(b"\r\n", 1)[0]) if length else 0
        start = end + len(_END)
        if len(self._received) < start + size:
            return
        body = bytes(self._received[start : start + size])
        del self._received[: start + size]
        self._busy = True
        self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if not head.startswith(b"post ") or not body:
            self._send(_json_answer({"object": "list", "data": [{"id": MODEL, "object": "model"}]}))
            return
        asked = json.loads(body)
        content = json.dumps(echo_of(asked)) + _PADDING
        delay = self._latency.value / 1e3
        share = self._share.value
        if share and random.random() < share:  # noqa: S311 - no secret
            with self._faults.get_lock():
                self._faults.value += 1
            fault = random.choice(FAULTS)  # noqa: S311 - no secret
            self._loop.call_later(delay, self._fail, fault, bool(asked.get("stream")))
        elif asked.get("stream"):
            self._loop.call_later(delay, self._stream, _chunks(content), 0)
        elif delay:
            self._loop.call_later(delay, self._send, _plain_answer(content))
        else:
            self._send(_plain_answer(content))

    def _send(self, data: bytes) -> None:
        self._transport.write(data)
        self._done()

    def _done(self) -> None:
        self._busy = False
        self._next()

    def _stream(self, chunks: Sequence[bytes], at: int) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(_STREAM_HEAD + chunks[0] if at == 0 else chunks[at])
        if at + 1 == len(chunks):
            self._done()
        else:
            self._loop.call_later(CHUNK_GAP_S, self._stream, chunks, at + 1)

    def _fail(self, fault: str, stream: bool) -> None:
        if fault == "cut":
            if stream:
                self._transport.write(_STREAM_HEAD + _chunks("cut")[0])
            self._transport.close()
        elif fault == "broken":
            self._send(_answer("200 OK", b'{"id": "chatcmpl-'))
        elif fault == "hang":
            self._loop.call_later(_HANG_S, self._transport.close)
        else:
            error = {"error": {"message": "made to fail", "type": "stub_error", "code": fault}}
            status = {"500": "500 Internal Server Error", "429": "429 Too Many Requests"}[fault]
            self._send(_answer(status, json.dumps(error).encode()))


def echo_of(asked: dict[str, Any]) -> dict[str, Any]:
    """What the stub says about a request."""
    said, fronted = "", []
    for message in asked.get("messages", ()):
        text = _text(message.get("content"))
        fronted += [int(number) for number in _GUIDELINE.findall(text)]
        if message.get("role") == "user":
            said = text
    return {"user": asked.get("user"), "said": checksum(said), "guidelines": fronted}


def read_echo(content: str) -> dict[str, Any] | None:
    """What the stub said of the request that it answered; None: these are not its words."""
    try:
        echo: dict[str, Any] = json.JSONDecoder().raw_decode(content)[0]
    except ValueError:
        return None
    return echo if content.endswith(_PADDING) else None


def _text(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return content or ""


def _answer(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + _END + body


def _json_answer(content: Any) -> bytes:
    return _answer("200 OK", json.dumps(content).encode())


_ABOUT = {"id": "chatcmpl-stub", "created": 1_700_000_000, "model": MODEL}


def _plain_answer(content: str) -> bytes:
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 100, "completion_tokens": 60, "total_tokens": 160}
    return _json_answer(_ABOUT | {"object": "chat.completion", "choices": [choice], "usage": usage})


_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked" + _END
)


def _chunks(content: str) -> list[bytes]:
    """A streamed answer in HTTP chunks; together they say the content."""
    size = -(-len(content) // N_CHUNKS)
    parts = [content[i : i + size] for i in range(0, len(content), size)]
    events = [_event({"role": "assistant", "content": parts[0]}, None)]
    events += [_event({"content": part}, None) for part in parts[1:]]
    events.append(_event({}, "stop"))
    events.append(_http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    return events


def _event(delta: dict[str, str], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    event = _ABOUT | {"object": "chat.completion.chunk", "choices": [choice]}
    return _http_chunk(b"data: " + json.dumps(event).encode() + b"\n\n")


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
