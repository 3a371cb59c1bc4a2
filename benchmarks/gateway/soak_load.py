"""Callers of the soak, in a process of their own: every answer is judged as it comes."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import uvloop

from benchmarks._harness.stub import MODEL
from benchmarks.gateway.judge import Asked, Judge, Verdict
from benchmarks.gateway.load import Caller, Load, request_head, with_body

CALLERS = 32
_TIMEOUT_S = 60.0
"""After which a request counts as unanswered."""
_STREAMED = 0.2
_REVOKED = 0.01
"""Share of requests by keys that were revoked."""
_CONTEXT = multiprocessing.get_context("spawn")


@dataclass(frozen=True, kw_only=True)
class KeyInUse:
    """A key that callers send."""

    token: str = field(repr=False)
    logged: bool
    """Its inputs go to the inbox."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What callers are told while they ask."""

    added: Sequence[KeyInUse] = ()
    dropped: Sequence[str] = ()
    """Tokens that are not used any more, for they will be revoked."""
    revoked: Sequence[str] = ()
    """Tokens that are refused by now."""
    categories: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SoakLoad:
    """The callers, seen from the controlling process."""

    _pipe: Connection
    _done: Any

    @property
    def n_done(self) -> int:
        """Requests that are over."""
        return int(self._done.value)

    def tell(self, change: Change) -> None:
        self._pipe.send(change)

    def verdict(self) -> Verdict | None:
        """Of all requests; None: some are still to come."""
        if not self._pipe.poll():
            return None
        verdict: Verdict = self._pipe.recv()
        return verdict


@contextmanager
def soak_load(base_url: str, texts: Sequence[str], n: int, first: Change) -> Iterator[SoakLoad]:
    """Asks n times, in a process of its own.

    Args:
        base_url: of the gateway.
        texts: user messages, drawn at random.
        n: requests.
        first: keys and categories to begin with.
    """
    ours, theirs = _CONTEXT.Pipe()
    done = _CONTEXT.Value("q", 0)
    process = _CONTEXT.Process(
        target=_work, args=(theirs, done, base_url, list(texts), n), daemon=True, name="soak"
    )
    process.start()
    # Its end is the process's alone: if that dies, whoever waits for the verdict is told.
    theirs.close()
    ours.send(first)
    try:
        yield SoakLoad(_pipe=ours, _done=done)
    finally:
        process.terminate()
        process.join()


def _work(pipe: Connection, done: Any, base_url: str, texts: list[str], n: int) -> None:
    callers = _Callers(base_url, texts, n, done)
    callers.take(pipe.recv())
    uvloop.run(callers.run(pipe))
    pipe.send(callers.judge.verdict)
    # Until it is ended: the verdict must be read before the pipe goes.
    time.sleep(600)


class _Callers:
    def __init__(self, base_url: str, texts: list[str], n: int, done: Any) -> None:
        self.judge = Judge()
        self._base_url, self._texts, self._n, self._done = base_url, texts, n, done
        self._begun = 0
        self._keys: list[KeyInUse] = []
        self._revoked: list[str] = []
        self._random = random.Random(0)  # noqa: S311 - no secret

    def take(self, change: Change) -> None:
        """Takes a change over."""
        self.judge.categories.update(change.categories)
        self._keys = [key for key in self._keys if key.token not in change.dropped]
        self._keys += change.added
        self._revoked += change.revoked

    async def run(self, pipe: Connection) -> None:
        """Asks until all is asked."""
        loop = asyncio.get_running_loop()
        # A change may be longer than what a pipe holds: an event loop would read half of it.
        threading.Thread(target=self._listen, args=(pipe, loop), daemon=True).start()
        await asyncio.gather(*(self._call() for _ in range(CALLERS)))

    def _listen(self, pipe: Connection, loop: asyncio.AbstractEventLoop) -> None:
        # Once all is asked, the loop is closed and takes no more.
        with suppress(EOFError, RuntimeError):
            while True:
                loop.call_soon_threadsafe(self.take, pipe.recv())

    async def _call(self) -> None:
        caller = Caller(self._base_url, _TIMEOUT_S)
        while self._begun < self._n:
            self._begun += 1
            asked, request = self._request(f"q{self._begun}")
            answer = await caller.ask(request)
            self.judge.see(asked, answer)
            self._done.value += 1
            if answer is None:
                await asyncio.sleep(0.05)
        caller.close()

    def _request(self, mark: str) -> tuple[Asked, bytes]:
        draw = self._random
        key = draw.choice(self._keys)
        revoked = bool(self._revoked) and draw.random() < _REVOKED
        token = draw.choice(self._revoked) if revoked else key.token
        asked = Asked(
            mark=mark,
            text=draw.choice(self._texts),
            stream=draw.random() < _STREAMED,
            revoked=revoked,
            logged=key.logged and not revoked,
            at=time.time(),
        )
        load = Load(
            base_url=self._base_url,
            model=MODEL,
            texts=[],
            headers={"authorization": f"Bearer {token}"},
        )
        body: dict[str, Any] = {
            "model": MODEL,
            "user": mark,
            "messages": [{"role": "user", "content": asked.text}],
        }
        if asked.stream:
            body["stream"] = True
        return asked, with_body(request_head(load), body)
