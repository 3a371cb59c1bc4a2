"""The chat client against a bare loop over the official client, on the same server."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import httpx
import openai
import psutil
from pydantic import BaseModel

from benchmarks._harness.report import ROOT, Figure
from guidealign.errors import ModelOutputError
from guidealign.llm import AsyncChatClient, Message, Usage
from guidealign.settings import EndpointSettings

_LATENCY_S = 0.2
_FAULT_SHARE = 0.05
_STALL_S = 60.0
_TIMEOUT_S = 4.0
_ATTEMPTS = 3
_HEDGE_AFTER_S = 1.0
_CONCURRENCIES = (32, 64, 128, 256)
_SERVER = f"local server of {_LATENCY_S * 1000:.0f} ms a call, one process on the other core"
# As long as a real prompt: a fixed beginning, then the input.
_PREFIX = "You judge inputs for safety, with care and in few words. " * 30

Asker = Callable[[int], Awaitable[None]]


class Verdict(BaseModel):
    id: int
    verdict: bool


@dataclass(frozen=True)
class Run:
    """One run over `n` calls."""

    n: int
    seconds: float
    cpu_s: float

    @property
    def per_second(self) -> float:
        return self.n / self.seconds

    @property
    def cpu_s_per_1000(self) -> float:
        return self.cpu_s * 1000 / self.n


@dataclass(frozen=True)
class Bare:
    """A bare loop: which HTTP client the official client uses, and how many calls at a time."""

    http: str
    concurrency: int


def measure(full: bool) -> list[Figure]:
    """All figures of the part `client`."""
    figures = asyncio.run(_measure(full))
    return figures + _memory_figures(100_000 if full else 5_000)


async def _measure(full: bool) -> list[Figure]:
    n = 1_000 if full else 200
    with _server() as url:
        best = await _best_bare(url, n, _CONCURRENCIES if full else (32, 64))
        bare, ours = await _rounds(url, n, best, rounds=5 if full else 2)
        sequential_s = _sequential(url, 30 if full else 10) * n
        figures = _clean_figures(best, bare, ours, sequential_s)
        figures += await _fault_figures(url, best, n, rounds=5 if full else 1)
        figures += await _fault_figures(url, best, 10 * n, rounds=2 if full else 1)
        figures += await _fault_figures(url, best, n, rounds=3 if full else 1, hedge_after_s=None)
    return figures


async def _best_bare(url: str, n: int, concurrencies: tuple[int, ...]) -> Bare:
    """The fastest of bare loops over both HTTP clients that the official client offers."""
    speed: dict[Bare, float] = {}
    for http in ("httpx", "aiohttp"):
        for concurrency in concurrencies:
            bare = Bare(http, concurrency)
            async with _bare(url, bare) as ask:
                speed[bare] = (await _run(ask, n, concurrency)).per_second
    return max(speed, key=lambda bare: speed[bare])


async def _rounds(
    url: str, n: int, best: Bare, rounds: int
) -> tuple[list[Run], dict[str, list[Run]]]:
    """Bare, ours as text and ours typed in turn, so that the machine's moods hit all alike."""
    bare: list[Run] = []
    ours: dict[str, list[Run]] = {"text": [], "typed": []}
    for _ in range(rounds):
        async with _bare(url, best) as ask:
            bare.append(await _run(ask, n, best.concurrency))
        async with _client(url, best.concurrency) as client:
            ours["text"].append(await _run(_text(client), n, n))
        async with _client(url, best.concurrency) as client:
            ours["typed"].append(await _run(_typed(client, []), n, n))
    return bare, ours


def _clean_figures(
    best: Bare, bare: list[Run], ours: dict[str, list[Run]], sequential_s: float
) -> list[Figure]:
    n, rounds = bare[0].n, len(bare)
    bare_speed, speed = _speed(bare), _speed(ours["text"])
    ratio = _ratio(ours["text"], bare)
    loop = f"bare loop at its best: {best.http}, {best.concurrency} at a time"
    times = sequential_s / n * speed
    return [
        Figure(
            figure="client: throughput against a bare asyncio loop",
            value=ratio,
            unit="ratio",
            n=n,
            target=">= 0.95",
            met=ratio >= 0.95,
            note=f"{speed:.0f} against {bare_speed:.0f} calls/s, median of {rounds} runs in turn;"
            f" {loop}; {_SERVER}",
        ),
        Figure(
            figure="client: throughput against the official client in one thread",
            value=times,
            unit="times",
            n=n,
            target=">= 30",
            met=times >= 30,
            note=f"{n / sequential_s:.2f} calls/s in one thread, extrapolated from a part",
        ),
        *(
            Figure(
                figure=f"client: CPU per 1,000 calls, {name}",
                value=_cpu(runs),
                unit="s",
                n=n,
                note=note,
            )
            for name, runs, note in (
                ("text answers", ours["text"], "client side only"),
                ("typed answers", ours["typed"], "JSON schema asked for, answer validated"),
                ("bare loop", bare, loop),
            )
        ),
    ]


async def _fault_figures(
    url: str, best: Bare, n: int, rounds: int, hedge_after_s: float | None = _HEDGE_AFTER_S
) -> list[Figure]:
    """Typed answers while 5% of requests go wrong: how fast, and is each input there once.

    In turn with a bare loop that meets no faults. The targets are those of a client that hedges.
    """
    got: list[int] = []
    bare: list[Run] = []
    ours: list[Run] = []
    changes = {"timeout_s": _TIMEOUT_S, "hedge_after_s": hedge_after_s}
    for _ in range(rounds):
        async with _bare(url, best) as ask:
            bare.append(await _run(ask, n, best.concurrency))
        got.clear()
        with _server("--fault-share", str(_FAULT_SHARE), "--stall-s", str(_STALL_S)) as faulty:
            async with _client(faulty, best.concurrency, **changes) as client:
                ours.append(await _run(_typed(client, got), n, n))
                usage = client.usage
            did = (await asyncio.to_thread(httpx.get, f"{faulty}/stats")).json()
    ratio = _ratio(ours, bare)
    n_lost, n_doubled = n - len(set(got)), len(got) - len(set(got))
    hedged = hedge_after_s is not None
    name = f"client: {n:,} calls, 5% of requests fail" + ("" if hedged else ", no hedging")
    return [
        Figure(
            figure=f"{name}: throughput against a bare loop without faults",
            value=ratio,
            unit="ratio",
            n=n,
            target=">= 0.85" if hedged else "",
            met=ratio >= 0.85 if hedged else None,
            note=f"{_speed(ours):.0f} against {_speed(bare):.0f} calls/s, {rounds} in turn; "
            + _fault_note(did["did"], usage)
            + (f", hedge_after_s {hedge_after_s:g}" if hedged else ""),
        ),
        Figure(
            figure=f"{name}: inputs lost or doubled",
            value=n_lost + n_doubled,
            unit="inputs",
            n=n,
            target="0",
            met=n_lost + n_doubled == 0,
            note=f"{did['n_answered_twice']} questions were answered twice by the server",
        ),
    ]


def _fault_note(did: dict[str, int], usage: Usage) -> str:
    kinds = {
        "error_500": "status 500",
        "refused_429": "429 with Retry-After 1 s",
        "cut": "cut",
        "junk": "junk",
        "given_up_by_client": "stalled",
    }
    faults = ", ".join(f"{did.get(kind, 0)} {words}" for kind, words in kinds.items())
    return f"{usage.n_requests} requests, of these {faults}; timeout_s {_TIMEOUT_S:g}"


def _memory_figures(n: int) -> list[Figure]:
    """Resident memory while calls stream through, from a tenth of them to the end."""
    # A process of its own: memory that earlier parts have freed would hide what these calls keep.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        resident_mb, seconds = pool.submit(_stream_through, n).result()
    first, *later = resident_mb[2:]
    growth = max(later) - first
    return [
        Figure(
            figure="client: growth of memory as calls stream through",
            value=growth,
            unit="MiB",
            n=n,
            target="flat (< 10)",
            met=growth < 10,
            note=f"{first:.0f} MiB after a tenth of the calls, {later[-1]:.0f} at the end;"
            f" {n / seconds:.0f} calls/s of 5 ms",
        )
    ]


def _stream_through(n: int) -> tuple[list[float], float]:
    """Resident MiB at each twentieth of `n` calls, and the seconds they took."""
    return asyncio.run(_watch_memory(n))


async def _watch_memory(n: int) -> tuple[list[float], float]:
    concurrency = 64
    numbers = iter(range(n))
    resident_mb: list[float] = []
    process = psutil.Process()

    async def work(ask: Asker) -> None:
        for number in numbers:
            await ask(number)
            if number % (n // 20) == 0:
                resident_mb.append(process.memory_info().rss / 2**20)

    with _server(latency_s=0.005) as url:
        async with _client(url, concurrency) as client:
            started = time.perf_counter()
            ask = _text(client)
            await asyncio.gather(*(work(ask) for _ in range(concurrency)))
            return resident_mb, time.perf_counter() - started


@contextmanager
def _server(*options: str, latency_s: float = _LATENCY_S) -> Iterator[str]:
    command = [
        sys.executable,
        "-m",
        "benchmarks._harness.model_server",
        "--latency-s",
        str(latency_s),
    ]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.terminate()


@asynccontextmanager
async def _bare(url: str, bare: Bare) -> AsyncIterator[Asker]:
    kinds = {"httpx": openai.DefaultAsyncHttpxClient, "aiohttp": openai.DefaultAioHttpClient}
    async with openai.AsyncOpenAI(
        base_url=url, api_key="none", http_client=kinds[bare.http]()
    ) as client:

        async def ask(number: int) -> None:
            answer = await client.chat.completions.create(
                model="bench",
                messages=_messages(number),  # type: ignore[arg-type]
                temperature=0,
                max_tokens=80,
            )
            assert answer.choices[0].message.content

        yield ask


@asynccontextmanager
async def _client(url: str, concurrency: int, **changes: Any) -> AsyncIterator[AsyncChatClient]:
    endpoint = EndpointSettings(base_url=url, model="bench", concurrency=concurrency, **changes)
    async with AsyncChatClient(endpoint, stage="bench") as client:
        yield client


def _text(client: AsyncChatClient) -> Asker:
    async def ask(number: int) -> None:
        assert (await client.complete(_messages(number), temperature=0, max_tokens=80)).text

    return ask


def _typed(client: AsyncChatClient, got: list[int]) -> Asker:
    """Junk that the repair turn does not mend is asked anew, as the work queue does."""

    async def ask(number: int) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                answer = await client.complete_typed(
                    _messages(number), Verdict, temperature=0, max_tokens=80, seed=attempt
                )
            except ModelOutputError:
                continue
            assert answer.value.id == number
            got.append(answer.value.id)
            return

    return ask


async def _run(ask: Asker, n: int, concurrency: int) -> Run:
    """Asks `n` questions, no more than `concurrency` at a time."""
    slots = asyncio.Semaphore(concurrency)

    async def one(number: int) -> None:
        async with slots:
            await ask(number)

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(one(number) for number in range(n)))
    return Run(n, time.perf_counter() - started, time.process_time() - cpu)


def _sequential(url: str, n: int) -> float:
    """Seconds a call of the official sync client."""
    with openai.OpenAI(base_url=url, api_key="none") as client:
        started = time.perf_counter()
        for number in range(n):
            client.chat.completions.create(
                model="bench",
                messages=_messages(number),  # type: ignore[arg-type]
                temperature=0,
                max_tokens=80,
            )
        return (time.perf_counter() - started) / n


def _messages(number: int) -> list[Message]:
    return [
        {"role": "system", "content": _PREFIX},
        {"role": "user", "content": f"question {number}"},
    ]


def _speed(runs: list[Run]) -> float:
    return statistics.median(run.per_second for run in runs)


def _ratio(ours: list[Run], bare: list[Run]) -> float:
    """Median over rounds of ours by the bare loop's, which ran just before it."""
    return statistics.median(a.per_second / b.per_second for a, b in zip(ours, bare, strict=True))


def _cpu(runs: list[Run]) -> float:
    return statistics.median(run.cpu_s_per_1000 for run in runs)
