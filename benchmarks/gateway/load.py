"""A load generator: callers in a closed loop over raw connections, in a process of its own.

Each caller waits for its answer before it asks again. Nothing of an HTTP client library is used,
so that on a small machine most of the cores' time is left to what is measured.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import urlsplit

import uvloop

from benchmarks.gateway.answers import Answer, AnswerReader

_CONTEXT = multiprocessing.get_context("spawn")


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is asked for, of whom, how often."""

    base_url: str
    """With `/v1`."""
    model: str
    texts: list[str]
    """User messages, taken in turn from `first` on."""
    first: int = 0
    callers: int = 32
    seconds: float = 5.0
    """Of measuring, after the warm-up; requests that began before its end are waited for."""
    warm_up_s: float = 1.0
    stream: bool = False
    timeout_s: float = 90.0
    """Of an answer; then it counts as lost."""
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Members of each request's body."""


@dataclass(kw_only=True)
class Outcome:
    """What came of a load, warm-up left out."""

    seconds: float = 0.0
    answers: int = 0
    """Within the seconds."""
    times_ms: list[float] = field(default_factory=list)
    """From the request to the answer's last byte."""
    first_ms: list[float] = field(default_factory=list)
    """From the request to the body's first byte."""
    statuses: Counter[str] = field(default_factory=Counter)
    """By HTTP status, or `lost` for a connection that ended without an answer."""
    guided: Counter[str] = field(default_factory=Counter)
    """By `x-guidealign-status`."""
    asked: int = 0
    """Texts taken, warm-up included."""

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds

    @property
    def errors(self) -> int:
        """Answers other than 200, and none at all."""
        return sum(n for status, n in self.statuses.items() if status != "200")


class LoadGenerator:
    """Runs loads in the generator's process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def run(self, load: Load) -> Outcome:
        """What comes of a load."""
        self._pipe.send(load)
        outcome: Outcome = self._pipe.recv()
        return outcome


@contextmanager
def load_generator() -> Iterator[LoadGenerator]:
    """A generator in a process of its own, for as long as the block lasts."""
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_work, args=(theirs,), daemon=True, name="load")
    process.start()
    try:
        yield LoadGenerator(ours)
    finally:
        process.terminate()
        process.join()


def _work(pipe: Connection) -> None:
    while True:
        load: Load = pipe.recv()
        pipe.send(uvloop.run(_run(load)))


class Caller:
    """One connection at a time, opened anew when it was closed."""

    def __init__(self, base_url: str, timeout_s: float) -> None:
        parts = urlsplit(base_url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._timeout_s = timeout_s
        self._reader: AnswerReader | None = None

    async def ask(self, request: bytes) -> Answer | None:
        """The answer; None: the connection ended before it was whole."""
        loop = asyncio.get_running_loop()
        reader = self._reader
        if reader is None or not reader.is_open:
            try:
                _, reader = await loop.create_connection(AnswerReader, self._host, self._port)
            except OSError:
                return None
            self._reader = reader
        timer = loop.call_later(self._timeout_s, reader.give_up)
        try:
            return await reader.ask(request)
        finally:
            timer.cancel()

    def close(self) -> None:
        """Ends the connection."""
        if self._reader is not None:
            self._reader.give_up()


def request_head(load: Load) -> bytes:
    """The request's first lines, without its length."""
    parts = urlsplit(load.base_url)
    headers = {"host": parts.netloc, "content-type": "application/json", **load.headers}
    lines = [
        f"POST {parts.path}/chat/completions HTTP/1.1",
        *(f"{n}: {v}" for n, v in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\ncontent-length: ").encode()


def with_body(head: bytes, body: Mapping[str, Any]) -> bytes:
    """A whole request."""
    content = json.dumps(body).encode()
    return b"%s%d\r\n\r\n%s" % (head, len(content), content)


async def _run(load: Load) -> Outcome:
    outcome = Outcome(seconds=load.seconds)
    begins = time.perf_counter() + load.warm_up_s
    await asyncio.gather(*(_call(load, outcome, begins) for _ in range(load.callers)))
    return outcome


async def _call(load: Load, outcome: Outcome, begins: float) -> None:
    caller = Caller(load.base_url, load.timeout_s)
    head = request_head(load)
    common = {"model": load.model, **load.extra} | ({"stream": True} if load.stream else {})
    ends = begins + load.seconds
    while (started := time.perf_counter()) < ends:
        text = load.texts[(load.first + outcome.asked) % len(load.texts)]
        outcome.asked += 1
        body = common | {"messages": [{"role": "user", "content": text}]}
        answer = await caller.ask(with_body(head, body))
        done = time.perf_counter()
        if answer is None:
            # Not to spin while a server is away.
            await asyncio.sleep(0.01)
        if done >= begins and done < ends:
            outcome.answers += answer is not None
        if started >= begins:
            _note(outcome, answer, started, done)
    caller.close()


def _note(outcome: Outcome, answer: Answer | None, started: float, done: float) -> None:
    outcome.statuses["lost" if answer is None else str(answer.status)] += 1
    if answer is None or answer.status != 200:
        return
    outcome.times_ms.append((done - started) * 1e3)
    outcome.first_ms.append((answer.first_byte_at - started) * 1e3)
    if (status := answer.headers.get("x-guidealign-status")) is not None:
        outcome.guided[status] += 1
