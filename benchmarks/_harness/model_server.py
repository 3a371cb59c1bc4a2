"""A model server with set latency and faults, cheap enough to wait for nothing but the clock.

`python -m benchmarks._harness.model_server --latency-s 0.2 --fault-share 0.05 [--stall-s 30]`
prints its port. An asyncio protocol on uvloop with its own reading of HTTP/1.1: about 40
microseconds of CPU a request, so that one process is not what a client on the other core waits for.

What is to go wrong with a request is drawn from the question and from how often it was asked: the
same run meets the same faults, and a repeated request draws anew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import cast

import uvloop

FAULTS = ("error_500", "refused_429", "cut", "junk", "stall")
RETRY_AFTER_S = 1
_QUESTION = re.compile(rb"question (\d+)")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_USAGE = {"prompt_tokens": 400, "completion_tokens": 60, "total_tokens": 460}


@dataclass
class Plan:
    """How the server behaves, and what it did."""

    latency_s: float
    fault_share: float
    stall_s: float
    asked: Counter[int] = field(default_factory=Counter)
    answered: Counter[int] = field(default_factory=Counter)
    did: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0

    def fault(self, question: int) -> str | None:
        """What goes wrong with this request; None: nothing."""
        self.asked[question] += 1
        draw = random.Random(f"{question} {self.asked[question]}")  # noqa: S311
        return draw.choice(FAULTS) if draw.random() < self.fault_share else None

    def stats(self) -> bytes:
        """Counts as JSON; questions answered more than once are named."""
        doubled = [question for question, n in self.answered.items() if n > 1]
        return json.dumps(
            {
                "did": dict(self.did),
                "n_questions": len(self.asked),
                "n_requests": self.asked.total(),
                "n_answered": self.answered.total(),
                "n_answered_twice": len(doubled),
                "most_in_flight": self.most_in_flight,
            }
        ).encode()


class Connection(asyncio.Protocol):
    """One connection: a request at a time, answered after the latency."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not registered as asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._waiting is not None:
            self._waiting.cancel()
            self._plan.did["given_up_by_client"] += 1
            self._plan.in_flight -= 1
            self._waiting = None
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        found = _LENGTH.search(self._buffer, 0, end + 2)
        whole = end + 4 + (int(found.group(1)) if found else 0)
        if len(self._buffer) < whole:
            return
        request, self._buffer = self._buffer[:whole], self._buffer[whole:]
        self._take(request)

    def _take(self, request: bytes) -> None:
        plan = self._plan
        if request.startswith(b"GET"):
            self._send(b"200 OK", plan.stats())
            return
        found = _QUESTION.search(request)
        question = int(found.group(1)) if found else 0
        plan.in_flight += 1
        plan.most_in_flight = max(plan.most_in_flight, plan.in_flight)
        fault = plan.fault(question)
        wait_s = {"stall": plan.stall_s, "refused_429": 0.0}.get(fault or "", plan.latency_s)
        loop = asyncio.get_running_loop()
        self._waiting = loop.call_later(wait_s, self._answer, question, fault)

    def _answer(self, question: int, fault: str | None) -> None:
        self._waiting = None
        self._plan.in_flight -= 1
        self._plan.did[fault or "answered"] += 1
        if fault == "cut":
            if self._transport is not None:
                self._transport.abort()
        elif fault == "error_500":
            self._send(b"500 Internal Server Error", b'{"error": {"message": "no"}}')
        elif fault == "refused_429":
            self._send(
                b"429 Too Many Requests\r\nRetry-After: %d" % RETRY_AFTER_S,
                b'{"error": {"message": "slow down"}}',
            )
        elif fault == "junk":
            self._send(b"200 OK", _completion('Sure! {"id": 1, "verdict": per'))
        elif fault == "stall":
            self._send(b"504 Gateway Timeout", b'{"error": {"message": "late"}}')
        else:
            self._plan.answered[question] += 1
            answer = {"id": question, "verdict": bool(question % 2)}
            self._send(b"200 OK", _completion(json.dumps(answer)))

    def _send(self, status: bytes, body: bytes) -> None:
        if self._transport is not None:
            self._transport.write(
                b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (status, len(body), body)
            )


def _completion(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    return json.dumps(
        {
            "id": "chat-1",
            "object": "chat.completion",
            "created": 0,
            "model": "bench",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": _USAGE,
        }
    ).encode()


async def _serve(plan: Plan) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(plan), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency-s", type=float, default=0.2)
    parser.add_argument("--fault-share", type=float, default=0.0)
    parser.add_argument("--stall-s", type=float, default=30.0)
    given = parser.parse_args()
    uvloop.run(_serve(Plan(given.latency_s, given.fault_share, given.stall_s)))
