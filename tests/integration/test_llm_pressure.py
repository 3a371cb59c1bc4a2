"""How hard the client presses a server that refuses, stalls or fails."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from guidealign.errors import RateLimitedError, ServiceUnavailableError
from guidealign.llm import AsyncChatClient, ChatResult
from tests.fakes.model_server import ChatRequest, ModelServer, Reply
from tests.integration.llm_fixture import ASK, play, say, say_all


def texts(outcomes: list[ChatResult | BaseException]) -> list[str]:
    return [outcome.text for outcome in outcomes if isinstance(outcome, ChatResult)]


def test_a_retry_after_pauses_every_request() -> None:
    def respond(request: ChatRequest) -> Reply:
        if request.number == 0:
            return Reply(status=429, headers={"Retry-After": "1"})
        return Reply(text=request.last, delay_s=0.2)

    async def scene(server: ModelServer, client: AsyncChatClient) -> list[float]:
        assert texts(await say_all(client, 8)) == [str(number) for number in range(8)]
        return [request.at - server.requests[0].at for request in server.requests]

    after_s = play(respond, scene, concurrency=4)
    # Four were on their way together; the other four and the repeated one waited for the pause.
    assert len(after_s) == 9
    assert all(seconds >= 1.0 for seconds in after_s[4:])


def test_milliseconds_and_dates_are_understood() -> None:
    def respond(request: ChatRequest) -> Reply:
        headers = {"Retry-After-Ms": "300", "Retry-After": "40"}
        return Reply(status=503, headers=headers) if request.number == 0 else Reply(text="ok")

    async def scene(server: ModelServer, client: AsyncChatClient) -> float:
        await say(client)
        return server.requests[1].at - server.requests[0].at

    assert 0.3 <= play(respond, scene) < 40


def test_nobody_is_sent_into_a_long_pause() -> None:
    async def scene(server: ModelServer, client: AsyncChatClient) -> tuple[int, list[object]]:
        outcomes = await say_all(client, 3)
        return len(server.requests), [type(outcome) for outcome in outcomes]

    n_requests, kinds = play(
        lambda _: Reply(status=429, headers={"Retry-After": "900"}), scene, concurrency=1
    )
    assert (n_requests, kinds) == (1, [RateLimitedError] * 3)


def test_the_client_finds_how_much_a_server_takes() -> None:
    under_way: dict[int, int] = {}
    running: list[ModelServer] = []
    # On a busy machine the first would be answered before the last has come.
    all_here = threading.Barrier(32)

    def respond(request: ChatRequest) -> Reply:
        if request.number < 32:
            all_here.wait(60)
        under_way[request.number] = running[0].in_flight
        status = 503 if under_way[request.number] > 4 else 200
        return Reply(text=request.last, status=status, delay_s=0.2)

    async def scene(server: ModelServer, client: AsyncChatClient) -> list[str]:
        running.append(server)
        return texts(await say_all(client, 60))

    answers = play(respond, scene, concurrency=32, max_retries=20, breaker_failures=100)
    assert answers == [str(number) for number in range(60)]
    # It begins with 32 at once, is cut to 16, 8 and 4, and grows by 2 a round of answers.
    late = [n for number, n in under_way.items() if number >= len(under_way) // 2]
    assert max(under_way.values()) > 16
    assert max(late) <= 8


def test_a_stall_costs_its_timeout_and_is_asked_again() -> None:
    def respond(request: ChatRequest) -> Reply:
        return Reply(hang=True) if request.number == 0 else Reply(text="ok")

    async def scene(server: ModelServer, client: AsyncChatClient) -> tuple[str, int]:
        answer = await say(client)
        return answer.text, len(server.requests)

    assert play(respond, scene, timeout_s=0.3) == ("ok", 2)


def test_a_stalled_request_is_hedged_where_that_is_set() -> None:
    def respond(request: ChatRequest) -> Reply:
        return Reply(hang=True) if request.number == 0 else Reply(text="ok")

    async def scene(server: ModelServer, client: AsyncChatClient) -> None:
        started = time.monotonic()
        assert (await say(client)).text == "ok"
        assert time.monotonic() - started < 30
        usage = client.usage
        assert (len(server.requests), usage.n_requests, usage.n_failed) == (2, 2, 1)

    play(respond, scene, timeout_s=60.0, hedge_after_s=0.2)


def test_what_is_quick_is_not_hedged_however_long_it_queued() -> None:
    async def scene(server: ModelServer, client: AsyncChatClient) -> int:
        await say_all(client, 6)
        return len(server.requests)

    # One at a time: the last one waits 0.5 s for its slot.
    n = play(lambda _: Reply(text="x", delay_s=0.1), scene, concurrency=1, hedge_after_s=0.4)
    assert n == 6


def test_a_failed_hedge_leaves_the_first_request_its_time() -> None:
    def respond(request: ChatRequest) -> Reply:
        return Reply(text="slow", delay_s=0.5) if request.number == 0 else Reply(status=500)

    async def scene(_server: ModelServer, client: AsyncChatClient) -> str:
        return (await say(client)).text

    assert play(respond, scene, hedge_after_s=0.1, max_retries=0) == "slow"


def test_a_call_that_is_given_up_frees_its_slot() -> None:
    arrived = threading.Event()

    def respond(request: ChatRequest) -> Reply:
        arrived.set()
        return Reply(hang=True) if request.number == 0 else Reply(text="ok")

    async def scene(_server: ModelServer, client: AsyncChatClient) -> str:
        first = asyncio.create_task(say(client))
        await asyncio.to_thread(arrived.wait)
        first.cancel()
        return (await say(client)).text

    assert play(respond, scene, concurrency=1) == "ok"


def test_the_breaker_opens_says_so_and_closes_behind_one_probe() -> None:
    def respond(request: ChatRequest) -> Reply:
        return Reply(status=500) if request.number < 2 else Reply(text="ok", delay_s=0.3)

    async def scene(server: ModelServer, client: AsyncChatClient) -> None:
        for _ in range(2):
            with pytest.raises(ServiceUnavailableError, match="status 500"):
                await say(client)
        # Open: nothing is sent, and the error says what to do.
        with pytest.raises(
            ServiceUnavailableError, match=r"failed 2 times in a row.*guidealign status"
        ) as caught:
            await say(client)
        assert len(server.requests) == 2
        assert 0 < (caught.value.retry_after_s or 0) <= 1
        # Half open: one probe; the others wait for its answer, then go together.
        await asyncio.sleep(1.05)
        await asyncio.gather(*(say(client) for _ in range(5)))
        sent = [request.at for request in server.requests[2:]]
        assert len(sent) == 5
        assert sent[1] - sent[0] >= 0.3
        # Closed.
        await say(client)

    play(respond, scene, concurrency=8, max_retries=0, breaker_failures=2)


def test_calls_wait_for_a_server_that_comes_back() -> None:
    def respond(request: ChatRequest) -> Reply:
        return Reply(drop=True) if request.number < 6 else Reply(text=request.last)

    async def scene(server: ModelServer, client: AsyncChatClient) -> list[str]:
        return texts(await say_all(client, 6))

    # All six are cut at once: the breaker opens, and each is asked again behind its probe.
    answers = play(respond, scene, concurrency=6, max_retries=4, breaker_failures=3)
    assert answers == [str(number) for number in range(6)]


def test_a_refused_request_says_that_the_server_lives() -> None:
    def respond(request: ChatRequest) -> Reply:
        return Reply(status=400 if request.number % 2 else 500)

    async def scene(server: ModelServer, client: AsyncChatClient) -> int:
        for _ in range(8):
            with pytest.raises(Exception, match="the model server at"):
                await client.complete(ASK, temperature=0, max_tokens=5)
        return len(server.requests)

    assert play(respond, scene, max_retries=0, breaker_failures=2) == 8
