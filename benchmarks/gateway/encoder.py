"""The encoder's own time: nothing but the encoder on the machine, asked as the gateway is asked.

- alone: one query after another.
- under load: as many callers as the gateway has, each pausing between its queries for as long as
  the upstream takes to answer. Queries that wait are encoded together, up to 16, as the gateway
  does; without that, 32 callers would wait longer.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import uvloop

from guidealign.records import UNTRAINED_VERSION
from guidealign.registry import Registry
from guidealign.retriever import ServingEncoder, load_serving_encoder
from guidealign.settings import load_settings

_MOST_TEXTS = 16
_CONTEXT = multiprocessing.get_context("spawn")


@dataclass(frozen=True, kw_only=True)
class Queries:
    """What the encoder is asked."""

    texts: list[str]
    callers: int
    """1: one query after another."""
    pause_ms: float
    """Of a caller between two queries."""
    seconds: float
    warm_up_s: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """What came of it."""

    times_ms: list[float]
    """From a query's arrival to its vector."""
    per_s: float


class EncoderAlone:
    """The encoder in a process of its own."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def run(self, queries: Queries) -> Encoded:
        self._pipe.send(queries)
        encoded: Encoded = self._pipe.recv()
        return encoded


@contextmanager
def encoder_alone() -> Iterator[EncoderAlone]:
    """The encoder in a process of its own, for as long as the block lasts."""
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_work, args=(theirs,), daemon=True, name="encoder")
    process.start()
    try:
        assert ours.recv() == "ready"
        yield EncoderAlone(ours)
    finally:
        process.terminate()
        process.join()


def _work(pipe: Connection) -> None:
    encoder = load_serving_encoder(
        UNTRAINED_VERSION, settings=load_settings(), registry=Registry("")
    )
    encoder.encode(["warm"], side="input")
    pipe.send("ready")
    while True:
        queries: Queries = pipe.recv()
        pipe.send(uvloop.run(_run(encoder, queries)))


async def _run(encoder: ServingEncoder, queries: Queries) -> Encoded:
    jobs: SimpleQueue[tuple[str, Future[Any]] | None] = SimpleQueue()
    thread = Thread(target=_encode, args=(encoder, jobs), daemon=True)
    thread.start()
    begins = time.perf_counter() + queries.warm_up_s
    ends = begins + queries.seconds
    texts = iter(queries.texts * 1_000)
    times: list[float] = []

    async def call() -> None:
        while (started := time.perf_counter()) < ends:
            job: tuple[str, Future[Any]] = next(texts), Future()
            jobs.put(job)
            await asyncio.wrap_future(job[1])
            if started >= begins:
                times.append((time.perf_counter() - started) * 1e3)
            if queries.pause_ms:
                await asyncio.sleep(queries.pause_ms / 1e3)

    await asyncio.gather(*(call() for _ in range(queries.callers)))
    jobs.put(None)
    thread.join()
    return Encoded(times_ms=times, per_s=len(times) / queries.seconds)


def _encode(encoder: ServingEncoder, jobs: SimpleQueue[tuple[str, Future[Any]] | None]) -> None:
    while (job := jobs.get()) is not None:
        batch = [job]
        while len(batch) < _MOST_TEXTS:
            try:
                another = jobs.get_nowait()
            except Empty:
                break
            if another is None:
                return
            batch.append(another)
        vectors = encoder.encode([text for text, _ in batch], side="input")
        for (_, future), vector in zip(batch, vectors, strict=True):
            future.set_result(vector)
