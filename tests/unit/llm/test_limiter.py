"""The limit of requests under way, whatever the server answers."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guidealign.errors import RateLimitedError
from guidealign.llm._limiter import AdaptiveLimiter


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def limiter(most: int) -> tuple[AdaptiveLimiter, Clock]:
    clock = Clock()
    return AdaptiveLimiter(most, "somewhere", clock=clock), clock


def exchange(limit: AdaptiveLimiter, outcomes: list[bool], retry_after_s: float | None) -> None:
    """One request after the other: True is answered, False refused."""

    async def run() -> None:
        for good in outcomes:
            slot = await limit.acquire()
            if good:
                limit.answered(slot)
            else:
                limit.refused(slot, retry_after_s)
            limit.release()

    asyncio.run(run())


@given(most=st.integers(1, 300), outcomes=st.lists(st.booleans(), max_size=400))
def test_the_limit_stays_within_one_and_the_most(most: int, outcomes: list[bool]) -> None:
    limit, _clock = limiter(most)
    for good in outcomes:
        exchange(limit, [good], None)
        assert 1 <= limit.limit <= most
    assert limit.in_flight == 0


@given(most=st.integers(1, 300), bad=st.lists(st.booleans(), max_size=100))
def test_the_limit_comes_back_when_all_goes_well(most: int, bad: list[bool]) -> None:
    limit, _clock = limiter(most)
    exchange(limit, bad, None)
    # From 1, 16 rounds of at most `most` answers add 16 sixteenths; one round may have begun.
    exchange(limit, [True] * (17 * most), None)
    assert limit.limit == most


@given(
    most=st.integers(1, 8),
    moves=st.lists(st.sampled_from(["ask", "ok", "refused", "cancel"]), max_size=60),
)
def test_no_slot_is_lost_or_given_twice(most: int, moves: list[str]) -> None:
    async def run() -> None:
        limit, _clock = limiter(most)
        held: list[asyncio.Task[object]] = []
        waiting: list[asyncio.Task[object]] = []
        for move in moves:
            if move == "ask":
                waiting.append(asyncio.create_task(limit.acquire(urgent=len(waiting) % 2 == 0)))
            elif move == "cancel" and waiting:
                waiting.pop().cancel()
            elif held:
                slot = held.pop().result()
                (limit.answered if move == "ok" else limit.refused)(slot)  # type: ignore[operator]
                limit.release()
            before = limit.in_flight
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            held += [task for task in waiting if task.done()]
            waiting = [task for task in waiting if not task.done()]
            assert limit.in_flight == len(held)
            # Cutting the limit takes no slot back, and gives none out.
            assert limit.in_flight <= max(before, limit.limit)
            assert not waiting or limit.in_flight >= limit.limit

    asyncio.run(run())


def test_refusals_of_one_wave_cut_the_limit_once() -> None:
    async def run() -> int:
        limit, _clock = limiter(8)
        slots = [await limit.acquire() for _ in range(8)]
        for slot in slots:
            limit.refused(slot)
        return limit.limit

    assert asyncio.run(run()) == 4


def test_one_refusal_in_twenty_is_no_sign_of_load() -> None:
    limit, _clock = limiter(40)
    # A round is 40 answers; 5% of it are 2 refusals, the third one is too many.
    exchange(limit, [True] * 10 + [False] * 2, retry_after_s=30)
    assert (limit.limit, limit.pause_s) == (40, 0)
    exchange(limit, [False], retry_after_s=30)
    assert (limit.limit, limit.pause_s) == (20, 30)


def test_a_pause_is_as_long_as_the_longest_that_was_asked_for() -> None:
    async def run() -> list[float]:
        limit, clock = limiter(3)
        slots = [await limit.acquire() for _ in range(3)]
        pauses = []
        for slot, asked_s in zip(slots, (5, 9, 2), strict=True):
            limit.refused(slot, asked_s)
            pauses.append(limit.pause_s)
        clock.now_s = 4
        return [*pauses, limit.pause_s]

    assert asyncio.run(run()) == [5, 9, 9, 5]


def test_nobody_waits_through_a_pause_of_more_than_a_minute() -> None:
    async def run() -> tuple[int, list[object]]:
        limit, _clock = limiter(1)
        slot = await limit.acquire()
        waiting = [asyncio.create_task(limit.acquire()) for _ in range(3)]
        await asyncio.sleep(0)
        limit.refused(slot, 90)
        limit.release()
        return limit.in_flight, list(await asyncio.gather(*waiting, return_exceptions=True))

    in_flight, outcomes = asyncio.run(run())
    assert in_flight == 0
    assert [type(outcome) for outcome in outcomes] == [RateLimitedError] * 3


def test_urgent_requests_go_first() -> None:
    async def run() -> list[str]:
        limit, _clock = limiter(1)
        await limit.acquire()
        order: list[str] = []

        async def take(name: str, *, urgent: bool) -> None:
            await limit.acquire(urgent=urgent)
            order.append(name)
            limit.release()

        tasks = [
            asyncio.create_task(take("first", urgent=False)),
            asyncio.create_task(take("again", urgent=True)),
        ]
        await asyncio.sleep(0)
        limit.release()
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(run()) == ["again", "first"]


def test_a_long_pause_is_refused_at_the_door() -> None:
    limit, clock = limiter(1)
    exchange(limit, [False], retry_after_s=100)
    with pytest.raises(RateLimitedError) as caught:
        exchange(limit, [True], None)
    assert caught.value.retry_after_s == 100
    clock.now_s = 100
    exchange(limit, [True], None)
