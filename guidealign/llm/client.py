"""The sync face of the chat client, for threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from types import TracebackType
from typing import Any, Self, TypeVar

from guidealign.llm.async_client import AsyncChatClient
from guidealign.llm.cache import CacheScope, ResponseCache
from guidealign.llm.model import ChatResult, ChoiceResult, Message, TypedResult, Usage, ValueT
from guidealign.settings import BudgetSettings, EndpointSettings

_T = TypeVar("_T")
_ItemT = TypeVar("_ItemT")
_OutT = TypeVar("_OutT")


class ChatClient:
    """An `AsyncChatClient` on an event loop of its own; one instance serves many threads.

    Args:
        endpoint: where, which model, and how hard to press.
        stage: what the calls are for, as it is recorded.
        budget: what may be spent; None: no limit.
        cache: where answers to calls with a `scope` are kept; None: nowhere.

    Raises:
        ConfigurationError: the endpoint has no base URL.
    """

    def __init__(
        self,
        endpoint: EndpointSettings,
        *,
        stage: str,
        budget: BudgetSettings | None = None,
        cache: ResponseCache | None = None,
    ) -> None:
        self._client = AsyncChatClient(endpoint, stage=stage, budget=budget, cache=cache)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="llm")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def model(self) -> str:
        """The model that is asked first, by its configured name."""
        return self._client.model

    @property
    def usage(self) -> Usage:
        """What the calls of this client came to so far."""
        return self._client.usage

    def close(self) -> None:
        """Closes the connections and stops the loop; a second call does nothing."""
        if self._loop.is_closed():
            return
        self._run(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def complete(
        self,
        messages: list[Message],
        *,
        temperature: float,
        max_tokens: int,
        seed: int | None = None,
        scope: CacheScope | None = None,
    ) -> ChatResult:
        """Answers a conversation with text.

        Raises:
            GuidealignError: as `AsyncChatClient.complete`.
        """
        return self._run(
            self._client.complete(
                messages, temperature=temperature, max_tokens=max_tokens, seed=seed, scope=scope
            )
        )

    def complete_typed(  # noqa: PLR0913 - one question, and how it may be answered
        self,
        messages: list[Message],
        schema: type[ValueT],
        *,
        temperature: float,
        max_tokens: int,
        seed: int | None = None,
        scope: CacheScope | None = None,
        parse_text: Callable[[str], ValueT] | None = None,
    ) -> TypedResult[ValueT]:
        """Answers a conversation with a value of `schema`.

        Raises:
            GuidealignError: as `AsyncChatClient.complete_typed`.
        """
        return self._run(
            self._client.complete_typed(
                messages,
                schema,
                temperature=temperature,
                max_tokens=max_tokens,
                seed=seed,
                scope=scope,
                parse_text=parse_text,
            )
        )

    def choose(
        self,
        messages: list[Message],
        choices: tuple[str, ...],
        *,
        seed: int | None = None,
        scope: CacheScope | None = None,
    ) -> ChoiceResult:
        """How likely the model finds each of a few one-word answers.

        Raises:
            GuidealignError: as `AsyncChatClient.choose`.
        """
        return self._run(self._client.choose(messages, choices, seed=seed, scope=scope))

    def _run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        # The task runs in a copy of this thread's context: recorded_calls() sees its calls.
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


def run_many(
    items: Iterable[_ItemT], function: Callable[[_ItemT], _OutT], concurrency: int
) -> list[_OutT]:
    """Results in the order of the items, `concurrency` at a time.

    Every item is tried, also when an earlier one fails.

    Raises:
        Exception: the first failure in the order of the items, after all have ended.
    """
    with ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="llm") as pool:
        futures = [pool.submit(copy_context().run, function, item) for item in items]
    return [future.result() for future in futures]
