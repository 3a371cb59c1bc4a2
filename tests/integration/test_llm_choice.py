"""One of a few words: the likelihoods an endpoint tells, and endpoints that tell none."""

from __future__ import annotations

import pytest

from guidealign.errors import ModelOutputError
from guidealign.llm import AsyncChatClient, CacheScope, ChoiceResult, MemoryCache
from tests.fakes.model_server import ChatRequest, ModelServer, Reply, Responder
from tests.integration.llm_fixture import ASK, play

CHOICES = ("yes", "no")


def choose(responder: Responder) -> tuple[ChoiceResult, list[ChatRequest]]:
    async def scene(
        server: ModelServer, client: AsyncChatClient
    ) -> tuple[ChoiceResult, list[ChatRequest]]:
        return await client.choose(ASK, CHOICES), server.requests

    return play(responder, scene)


def test_the_share_is_over_every_token_that_begins_one_choice() -> None:
    told = {"Yes": 0.3, " yes": 0.1, '"no"': 0.15, "N": 0.05, "Maybe": 0.4}
    result, requests = choose(lambda _: Reply(text="Maybe", likelihoods=told))
    assert result.shares["yes"] == pytest.approx(0.4 / 0.6)
    assert sum(result.shares.values()) == pytest.approx(1)
    assert requests[0].body["max_tokens"] == 1
    assert len(result.calls) == 1


def test_an_endpoint_that_tells_no_likelihoods_gives_all_to_one() -> None:
    result, _ = choose(lambda _: Reply(text=" No."))
    assert result.shares == {"yes": 0.0, "no": 1.0}


def test_an_endpoint_that_refuses_likelihoods_is_asked_without_them_from_then_on() -> None:
    def refuses(request: ChatRequest) -> Reply:
        if "logprobs" in request.body:
            return Reply(status=400, raw=b'{"error":{"message":"logprobs is not supported"}}')
        return Reply(text="yes")

    async def scene(server: ModelServer, client: AsyncChatClient) -> tuple[float, float, int]:
        first = await client.choose(ASK, CHOICES)
        second = await client.choose(ASK, CHOICES)
        return first.shares["yes"], second.shares["yes"], len(server.requests)

    assert play(refuses, scene) == (1.0, 1.0, 3)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(text="perhaps", likelihoods={"perhaps": 0.9, "": 0.1}),
        Reply(text="perhaps"),
        Reply(text=""),
    ],
)
def test_a_model_that_has_neither_in_mind_is_an_error(reply: Reply) -> None:
    with pytest.raises(ModelOutputError, match="did not choose: it is none of yes, no"):
        choose(lambda _: reply)


def test_a_kept_choice_is_not_asked_again_and_keeps_its_shares() -> None:
    cache = MemoryCache()

    async def scene(server: ModelServer, client: AsyncChatClient) -> tuple[float, float, int]:
        scope = CacheScope(prompt_version="screen-1")
        first = await client.choose(ASK, CHOICES, scope=scope)
        second = await client.choose(ASK, CHOICES, scope=scope)
        other = await client.choose(ASK, ("no", "maybe"), scope=scope)
        assert second.calls == ()
        assert set(other.shares) == {"no", "maybe"}
        return first.shares["yes"], second.shares["yes"], len(server.requests)

    told = {"yes": 0.2, "no": 0.6, "maybe": 0.2}
    first, second, n = play(lambda _: Reply(text="no", likelihoods=told), scene, cache=cache)
    assert first == pytest.approx(0.25)
    assert (second, n) == (first, 2)
