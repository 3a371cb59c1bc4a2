"""The circuit breaker on a clock that the test turns."""

from __future__ import annotations

import asyncio

import pytest

from guidealign.errors import ServiceUnavailableError
from guidealign.llm._breaker import CircuitBreaker


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def opened(failures: int = 3) -> tuple[CircuitBreaker, Clock]:
    clock = Clock()
    breaker = CircuitBreaker(failures, "somewhere", clock=clock)
    for _ in range(failures):
        breaker.failed(probe=False)
    return breaker, clock


def left_s(breaker: CircuitBreaker) -> float | None:
    with pytest.raises(ServiceUnavailableError, match="guidealign status") as caught:
        asyncio.run(breaker.admit())
    return caught.value.retry_after_s


def test_it_opens_at_the_failure_too_many_and_not_before() -> None:
    breaker = CircuitBreaker(3, "somewhere")
    for _ in range(2):
        breaker.failed(probe=False)
    breaker.succeeded()
    for _ in range(2):
        breaker.failed(probe=False)
    assert not breaker.is_open
    breaker.failed(probe=False)
    assert breaker.is_open


def test_a_failed_probe_doubles_the_time_up_to_half_a_minute() -> None:
    breaker, clock = opened()
    holds = []
    for _ in range(7):
        hold_s = left_s(breaker)
        assert hold_s is not None
        holds.append(hold_s)
        clock.now_s += hold_s
        assert asyncio.run(breaker.admit()) is True
        breaker.failed(probe=True)
    assert holds == [1, 2, 4, 8, 16, 30, 30]


def test_requests_that_were_under_way_do_not_prolong_it() -> None:
    breaker, clock = opened()
    clock.now_s = 0.5
    breaker.failed(probe=False)
    assert left_s(breaker) == 0.5


def test_a_good_probe_lets_those_who_waited_for_it_pass() -> None:
    async def run() -> list[bool]:
        breaker, clock = opened()
        clock.now_s = 1
        assert await breaker.admit()
        others = [asyncio.create_task(breaker.admit()) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in others)
        breaker.succeeded()
        return list(await asyncio.gather(*others))

    assert asyncio.run(run()) == [False] * 3


def test_a_probe_that_is_given_up_is_followed_by_another() -> None:
    async def run() -> list[bool]:
        breaker, clock = opened()
        clock.now_s = 1
        assert await breaker.admit()
        others = [asyncio.create_task(breaker.admit()) for _ in range(2)]
        await asyncio.sleep(0)
        breaker.abandoned(probe=True)
        await asyncio.sleep(0)
        assert [task.done() for task in others] == [True, False]
        breaker.succeeded()
        return list(await asyncio.gather(*others))

    assert asyncio.run(run()) == [True, False]
