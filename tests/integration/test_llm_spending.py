"""What calls cost, what they may cost, and what a cache saves."""

from __future__ import annotations

import asyncio

import pytest

from guidealign.errors import BudgetExceededError, ConfigurationError
from guidealign.llm import (
    AsyncChatClient,
    CacheScope,
    ChatClient,
    ChatResult,
    MemoryCache,
    recorded_calls,
)
from guidealign.settings import BudgetSettings, PriceSettings
from tests.fakes.model_server import ChatRequest, ModelServer, Reply, json_reply, serve_model
from tests.integration.llm_fixture import ASK, Answer, endpoint, play, say, say_all

PRICES = PriceSettings(input_usd=3.0, output_usd=15.0, cached_input_usd=0.3)
USAGE = {
    "prompt_tokens": 1_000,
    "completion_tokens": 200,
    "prompt_tokens_details": {"cached_tokens": 800},
}
# 200 x $3 + 800 x $0.30 + 200 x $15, each by a million.
COST_USD = 0.0006 + 0.00024 + 0.003


def test_tokens_and_cost_are_counted_and_recorded() -> None:
    def respond(request: ChatRequest) -> Reply:
        return Reply(status=500) if request.number == 0 else Reply(text="x", usage=USAGE)

    async def scene(_server: ModelServer, client: AsyncChatClient) -> None:
        with recorded_calls() as calls:
            result = await say(client)
            await say(client)
        assert result.cost_usd == pytest.approx(COST_USD)
        assert [call.cached_tokens for call in calls] == [0, 800, 800]
        assert [call.cost_usd for call in calls] == pytest.approx([0, COST_USD, COST_USD])
        usage = client.usage
        assert (usage.n_requests, usage.n_failed) == (3, 1)
        assert (usage.prompt_tokens, usage.cached_tokens) == (2_000, 1_600)
        assert usage.completion_tokens == 400
        assert usage.cost_usd == pytest.approx(2 * COST_USD)

    play(respond, scene, prices=PRICES)


def test_a_budget_of_requests_stops_the_run_and_lets_what_is_under_way_finish() -> None:
    async def scene(server: ModelServer, client: AsyncChatClient) -> None:
        outcomes = await say_all(client, 12)
        done = [answer for answer in outcomes if isinstance(answer, ChatResult)]
        assert len(done) == len(server.requests) == 5
        assert [type(other) for other in outcomes if other not in done] == [BudgetExceededError] * 7

    play(
        lambda request: Reply(text=request.last, delay_s=0.1),
        scene,
        budget=BudgetSettings(max_requests=5),
        concurrency=4,
    )


def test_repeated_requests_count() -> None:
    async def scene(server: ModelServer, client: AsyncChatClient) -> int:
        with pytest.raises(BudgetExceededError, match="2 requests"):
            await say(client)
        return len(server.requests)

    assert play(lambda _: Reply(status=500), scene, budget=BudgetSettings(max_requests=2)) == 2


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_budget_of_tokens_is_never_passed_and_is_used_up(concurrency: int) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 10}

    async def scene(server: ModelServer, client: AsyncChatClient) -> int:
        outcomes = await asyncio.gather(
            *(say(client, max_tokens=10) for _ in range(20)), return_exceptions=True
        )
        assert {type(outcome) for outcome in outcomes} == {ChatResult, BudgetExceededError}
        return len(server.requests)

    # `hello` is held at 11 tokens at first, at 10 once an answer was seen, and 10 for the answer:
    # the fifth of 20 still fits into 100, the sixth does not.
    n = play(
        lambda _: Reply(text="x", usage=usage, delay_s=0.02),
        scene,
        budget=BudgetSettings(max_tokens=100),
        concurrency=concurrency,
    )
    assert n == 5


def test_a_budget_of_dollars_needs_prices_and_holds() -> None:
    budget = BudgetSettings(max_cost_usd=0.01)
    with pytest.raises(ConfigurationError, match="prices"):
        ChatClient(endpoint("http://127.0.0.1:9/v1"), stage="t", budget=budget)

    async def scene(server: ModelServer, client: AsyncChatClient) -> int:
        for _ in range(2):
            await say(client, "x" * 1_984, max_tokens=200)
        with pytest.raises(BudgetExceededError, match=r"\$0\.01 "):
            await say(client, "x" * 1_984, max_tokens=200)
        return len(server.requests)

    # A request is held at (1,984 / 2 + 8) x $3 + 200 x $15 = $0.006 by a million; one is spent
    # at $0.00384: $0.00984 still fits into $0.01, and after two $0.01368 does not.
    assert play(lambda _: Reply(text="x", usage=USAGE), scene, budget=budget, prices=PRICES) == 2


def test_the_sync_face_knows_the_budget_too() -> None:
    with (
        serve_model(lambda _: "x") as server,
        ChatClient(
            endpoint(server.base_url), stage="t", budget=BudgetSettings(max_requests=1)
        ) as client,
    ):
        client.complete(ASK, temperature=0, max_tokens=5)
        with pytest.raises(BudgetExceededError):
            client.complete(ASK, temperature=0, max_tokens=5)
        assert client.usage.n_requests == 1


def test_a_timeout_is_charged_at_its_most_and_an_error_status_is_not() -> None:
    def respond(request: ChatRequest) -> Reply:
        return Reply(hang=True) if request.last == "stall" else Reply(status=500)

    async def scene(server: ModelServer, client: AsyncChatClient) -> int:
        for text in ("fail!", "fail!", "fail!", "stall"):
            with pytest.raises(Exception, match="the model server at"):
                await say(client, text, max_tokens=40)
        # The server may have answered the stalled one for nobody: 11 + 40 tokens may be gone.
        with pytest.raises(BudgetExceededError):
            await say(client, "stall", max_tokens=40)
        return len(server.requests)

    budget = BudgetSettings(max_tokens=100)
    assert play(respond, scene, budget=budget, timeout_s=0.3, max_retries=0) == 4


def test_a_question_that_was_answered_is_not_sent_again() -> None:
    async def scene(server: ModelServer, client: AsyncChatClient) -> None:
        async def ask(nonce: str, version: str = "v1") -> ChatResult:
            turn = [{"role": "user", "content": f"between {nonce} and {nonce}: hello"}]
            scope = CacheScope(prompt_version=version, nonce=nonce)
            return await client.complete(turn, temperature=0, max_tokens=5, scope=scope)

        first = await ask("n1")
        with recorded_calls() as calls:
            again = await ask("n2")
        assert (again.text, again.model, calls) == (first.text, "m", [])
        assert (client.usage.n_requests, client.usage.n_cached) == (1, 1)
        assert (await ask("n3", version="v2")).text != first.text
        await client.complete(ASK, temperature=0, max_tokens=5)
        assert len(server.requests) == 3

    play(lambda request: f"answer {request.number}", scene, cache=MemoryCache())


def test_only_valid_answers_are_kept_and_a_kept_one_is_validated_anew() -> None:
    def respond(request: ChatRequest) -> Reply:
        return Reply(text="no idea") if request.number == 0 else json_reply({"verdict": True})

    scope = CacheScope(prompt_version="v1")
    cache = MemoryCache()

    async def scene(server: ModelServer, client: AsyncChatClient) -> None:
        for n_calls in (2, 0):
            result = await client.complete_typed(
                ASK, Answer, temperature=0, max_tokens=5, scope=scope
            )
            assert (result.value.verdict, result.model, len(result.calls)) == (True, "m", n_calls)
        assert len(server.requests) == 2

    play(respond, scene, cache=cache)
