"""Leaves a server alone that fails again and again, and asks now and then whether it is back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from guidealign.llm._errors import CircuitOpenError

_FIRST_HOLD_S = 1.0
_LONGEST_HOLD_S = 30.0


class CircuitBreaker:
    """Opens after `failures` in a row, then lets one request through to see.

    While that probe is under way the others wait for its outcome. If it fails, the server is
    left alone for twice as long, up to 30 s.

    Args:
        failures: in a row, that open it.
        where: the endpoint, as the error names it.
        clock: seconds that only grow.
    """

    def __init__(
        self, failures: int, where: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._failures = failures
        self._where = where
        self._clock = clock
        self._in_a_row = 0
        self._hold_s = _FIRST_HOLD_S
        self._open_until: float | None = None
        self._probe: asyncio.Event | None = None

    @property
    def is_open(self) -> bool:
        """Whether requests are held back."""
        return self._open_until is not None

    async def admit(self) -> bool:
        """Lets a request pass, or waits for the probe that is under way.

        Returns:
            Whether this request is the probe.

        Raises:
            CircuitOpenError: the server is left alone; `retry_after_s` says how long yet.
        """
        while self._open_until is not None:
            if self._probe is not None:
                await self._probe.wait()
                continue
            left_s = self._open_until - self._clock()
            if left_s > 0:
                raise CircuitOpenError(
                    f"the model server at {self._where} failed {self._in_a_row} times in a row and"
                    f" is left alone for {left_s:.0f} s: is it running? (`guidealign status`)",
                    retry_after_s=left_s,
                )
            self._probe = asyncio.Event()
            return True
        return False

    def succeeded(self) -> None:
        """Closes the breaker: the server answers."""
        self._in_a_row = 0
        self._hold_s = _FIRST_HOLD_S
        self._open_until = None
        self._end_probe()

    def failed(self, *, probe: bool) -> None:
        """Counts a failure; the one too many, or the probe's, opens the breaker."""
        self._in_a_row += 1
        if probe:
            self._hold_s = min(_LONGEST_HOLD_S, 2 * self._hold_s)
        elif self.is_open or self._in_a_row < self._failures:
            return
        self._open_until = self._clock() + self._hold_s
        if probe:
            self._end_probe()

    def abandoned(self, *, probe: bool) -> None:
        """Notes that a request was given up: if it was the probe, the next one is."""
        if probe:
            self._end_probe()

    def _end_probe(self) -> None:
        if self._probe is not None:
            self._probe.set()
            self._probe = None
