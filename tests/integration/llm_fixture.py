"""An async client and the server it talks to, for tests of what the client does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from guidealign.llm import AsyncChatClient, ChatResult, Message, ResponseCache
from guidealign.settings import BudgetSettings, EndpointSettings
from tests.fakes.model_server import ModelServer, Responder, serve_model

ASK: list[Message] = [{"role": "user", "content": "hello"}]
_T = TypeVar("_T")
Scene = Callable[[ModelServer, AsyncChatClient], Awaitable[_T]]


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    verdict: bool


def endpoint(base_url: str | None, **changes: object) -> EndpointSettings:
    values = {"base_url": base_url, "model": "m", "timeout_s": 5.0, "max_retries": 2, **changes}
    return EndpointSettings.model_validate(values)


def play(
    responder: Responder,
    scene: Scene[_T],
    *,
    budget: BudgetSettings | None = None,
    cache: ResponseCache | None = None,
    **changes: object,
) -> _T:
    """What the scene returns that is played between a server and a client."""

    async def run() -> _T:
        settings = endpoint(server.base_url, **changes)
        async with AsyncChatClient(settings, stage="t", budget=budget, cache=cache) as client:
            return await scene(server, client)

    with serve_model(responder) as server:
        return asyncio.run(run())


async def say(client: AsyncChatClient, text: str = "hello", max_tokens: int = 5) -> ChatResult:
    turn = [{"role": "user", "content": text}]
    return await client.complete(turn, temperature=0, max_tokens=max_tokens)


async def say_all(client: AsyncChatClient, n: int) -> list[ChatResult | BaseException]:
    """Asks `0`, `1`, ... at once; failures are among the results."""
    asked = (say(client, str(number)) for number in range(n))
    return await asyncio.gather(*asked, return_exceptions=True)
