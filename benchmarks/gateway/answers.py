"""HTTP/1.1 answers off a raw connection, whole or chunked, with the time of their first byte."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer that came whole."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    first_byte_at: float
    """Of the body, by the performance counter."""


class AnswerReader(asyncio.Protocol):
    """The client's end of a connection; one answer is expected at a time."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._waiting: asyncio.Future[Answer | None] | None = None
        self._received = bytearray()
        self._head: tuple[int, dict[str, str]] | None = None
        self._length: int | None = None
        """None: the body comes in chunks."""
        self._body = bytearray()
        self._first_byte_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether another request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, request: bytes) -> asyncio.Future[Answer | None]:
        """The answer to a request; None: the connection ends before it is whole."""
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._waiting

    def give_up(self) -> None:
        """Ends the connection, whatever is still to come."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        self._finish(None)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._head is None and not self._read_head():
            return
        if not self._first_byte_at and self._received:
            self._first_byte_at = time.perf_counter()
        if self._length is None:
            if self._read_chunks():
                self._finish(self._whole())
        elif len(self._received) >= self._length:
            self._body += self._received[: self._length]
            del self._received[: self._length]
            self._finish(self._whole())

    def _read_head(self) -> bool:
        end = self._received.find(_HEAD_END)
        if end < 0:
            return False
        first, *lines = bytes(self._received[:end]).decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        del self._received[: end + len(_HEAD_END)]
        chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        self._head = int(first.split(" ", 2)[1]), headers
        self._length = None if chunked else int(headers.get("content-length", 0))
        return True

    def _read_chunks(self) -> bool:
        """Takes the chunks that are whole; whether the last one is among them."""
        while (end := self._received.find(b"\r\n")) >= 0:
            size = int(self._received[:end], 16)
            if len(self._received) < end + size + 4:
                return False
            self._body += self._received[end + 2 : end + 2 + size]
            del self._received[: end + size + 4]
            if size == 0:
                return True
        return False

    def _whole(self) -> Answer:
        assert self._head is not None
        status, headers = self._head
        return Answer(
            status=status,
            headers=headers,
            body=bytes(self._body),
            first_byte_at=self._first_byte_at or time.perf_counter(),
        )

    def _finish(self, answer: Answer | None) -> None:
        waiting, self._waiting = self._waiting, None
        self._head, self._length = None, None
        self._received.clear()
        self._body.clear()
        self._first_byte_at = 0.0
        if answer is not None and answer.headers.get("connection", "").lower() == "close":
            self.give_up()
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
