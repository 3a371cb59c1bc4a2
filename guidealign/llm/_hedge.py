"""A second request for one that stalls; whichever is answered first counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from guidealign.errors import GuidealignError

_T = TypeVar("_T")


class Hedge(Generic[_T]):
    """Starts a request after a while, unless it is closed before.

    Args:
        request: makes the second request.
        after_s: how long the first may take before the second starts.
    """

    def __init__(self, request: Callable[[], Coroutine[Any, Any, _T]], after_s: float) -> None:
        self._request = request
        self._after_s = after_s
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[_T] | None = None
        self._win: Callable[[float], None] | None = None

    def arm(self, win: Callable[[float], None]) -> None:
        """Begins to count; `win` is called with the loop's time once the second has its answer."""
        self._win = win
        self._timer = asyncio.get_running_loop().call_later(self._after_s, self._start)

    async def result(self) -> _T:
        """The second request's answer.

        Raises:
            GuidealignError: it failed.
        """
        assert self._task is not None  # noqa: S101 - who asks has been told that it won
        return await self._task

    async def result_or(self, error: GuidealignError) -> _T:
        """The second request's answer after the first one failed.

        Raises:
            GuidealignError: the first one's error; the second was never sent, or failed too.
        """
        self._win = None
        if self._task is None:
            raise error
        try:
            return await self._task
        except GuidealignError:
            raise error from None

    async def close(self) -> None:
        """Gives the second request up, if it is not over."""
        self._win = None
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._request())
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[_T]) -> None:
        if self._win is not None and not task.cancelled() and task.exception() is None:
            self._win(asyncio.get_running_loop().time())
