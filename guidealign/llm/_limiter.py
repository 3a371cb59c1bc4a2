"""How many requests may be under way: grows while all goes well, halves when the server refuses."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from guidealign.llm._errors import rate_limited

LONGEST_WAIT_S = 60.0
"""A longer pause is the scheduler's to wait for, not a worker's."""
_TOLERATED = 0.05
"""Share of refusals that says nothing about load: single requests fail on a healthy server too."""
_STEPS = 16
"""Rounds of growth from nothing to the upper limit."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The right to send one request, and how often the limit had been cut when it was given."""

    n_cuts: int


class AdaptiveLimiter:
    """Additive increase, multiplicative decrease, within 1 and `most`.

    Answers are counted in rounds of as many as may be under way. A round in which no more than
    5% were refused adds a sixteenth of `most`; one refusal more than that halves the limit at
    once, and what was sent before then counts no further. The server's wish to be left alone is
    taken for all requests when the limit is cut: a rarer refusal delays its own request only.

    Starts at `most`: the person who set it knows the endpoint, and refusals come quickly.

    Args:
        most: most requests under way at a time.
        where: the endpoint, as errors name it.
        clock: seconds that only grow.
    """

    def __init__(
        self, most: int, where: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._where = where
        self._clock = clock
        self._limit = float(most)
        self._in_flight = 0
        self._n_cuts = 0
        self._answered = 0
        self._refused = 0
        self._paused_until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def limit(self) -> int:
        """Requests that may be under way now."""
        return int(self._limit)

    @property
    def in_flight(self) -> int:
        """Slots that are taken."""
        return self._in_flight

    @property
    def pause_s(self) -> float:
        """Seconds in which nothing may be sent; 0: there is no pause."""
        return max(0.0, self._paused_until - self._clock())

    async def acquire(self, *, urgent: bool = False) -> Slot:
        """Waits for a pause to end and for a slot; urgent ones go ahead of all others.

        Raises:
            RateLimitedError: the server wants to be left alone for longer than a minute.
        """
        if self.pause_s > LONGEST_WAIT_S:
            raise rate_limited(self._where, self.pause_s)
        if self._waiting or self._urgent or not self._is_free():
            await self._queue(self._urgent if urgent else self._waiting)
        else:
            self._in_flight += 1
        return Slot(self._n_cuts)

    def release(self) -> None:
        """Gives a slot back; whoever waits gets it."""
        self._in_flight -= 1
        self._wake()

    def answered(self, slot: Slot) -> None:
        """Notes that a request was answered, whatever the answer."""
        if slot.n_cuts == self._n_cuts:
            self._count(refused=0)

    def refused(self, slot: Slot, retry_after_s: float | None = None) -> None:
        """Notes that the server refused a request for load, or left it unanswered."""
        cut = False
        if slot.n_cuts == self._n_cuts:
            cut = self._count(refused=1)
        if retry_after_s is not None and (cut or self.pause_s > 0):
            self._pause(retry_after_s)

    def _count(self, *, refused: int) -> bool:
        """Counts an answer; True: the limit was cut for it."""
        self._answered += 1
        self._refused += refused
        if self._refused > _TOLERATED * self.limit:
            self._limit = max(1.0, self._limit / 2)
            self._n_cuts += 1
            self._answered = self._refused = 0
            return True
        if self._answered >= self.limit:
            self._limit = min(self._most, self._limit + max(1.0, self._most / _STEPS))
            self._answered = self._refused = 0
            self._wake()
        return False

    def _pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, self._clock() + seconds)
        if self.pause_s > LONGEST_WAIT_S:
            for queue in (self._urgent, self._waiting):
                while queue:
                    waiter = queue.popleft()
                    if not waiter.done():
                        waiter.set_exception(rate_limited(self._where, self.pause_s))

    def _is_free(self) -> bool:
        return self._in_flight < self.limit and self.pause_s == 0

    async def _queue(self, queue: deque[asyncio.Future[None]]) -> None:
        waiter = asyncio.get_running_loop().create_future()
        queue.append(waiter)
        self._wake()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release()
            raise

    def _wake(self) -> None:
        """Hands free slots to those who wait; in a pause, sets the alarm for its end."""
        while (self._urgent or self._waiting) and self._is_free():
            waiter = (self._urgent or self._waiting).popleft()
            if not waiter.done():
                self._in_flight += 1
                waiter.set_result(None)
        if (self._urgent or self._waiting) and self.pause_s > 0 and self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(self.pause_s, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._wake()
