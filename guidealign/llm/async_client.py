"""The async chat client: text, or a typed value, from any OpenAI-compatible endpoint."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog
from pydantic import BaseModel

from guidealign.errors import (
    ConfigurationError,
    ModelOutputError,
    TransientError,
)
from guidealign.llm._choice import ask_choice, shares_of
from guidealign.llm._fallbacks import in_order
from guidealign.llm._form import Form, UnreadableError, schema_of
from guidealign.llm._lane import Lane, Question
from guidealign.llm._ledger import Ledger
from guidealign.llm._typed import ask_typed
from guidealign.llm.cache import CachedAnswer, CacheScope, ResponseCache, cache_key
from guidealign.llm.model import (
    ChatResult,
    ChoiceResult,
    InvalidAnswerError,
    Message,
    TypedResult,
    Usage,
    ValueT,
    recorded_calls,
)
from guidealign.settings import BudgetSettings, EndpointSettings

_T = TypeVar("_T")
_NEXT_MODEL = (TransientError, ConfigurationError, ModelOutputError)
"""What another model may do better; a refused request is refused everywhere."""


log = structlog.get_logger()


class AsyncChatClient:
    """Sends questions to an endpoint; one instance serves all tasks of one event loop.

    At most `endpoint.concurrency` requests are under way at a time, fewer while the server
    refuses or stalls. Transient errors are tried again `endpoint.max_retries` times with jitter,
    never sooner than a Retry-After; a server that fails `endpoint.breaker_failures` times in a
    row is left alone for a while. Then the fallbacks are asked, in their order.

    Args:
        endpoint: where, which model, and how hard to press.
        stage: what the calls are for, as it is recorded.
        budget: what may be spent; None: no limit.
        cache: where answers to calls with a `scope` are kept; None: nowhere.

    Raises:
        ConfigurationError: the endpoint has no base URL, or a budget in dollars has no prices.
    """

    def __init__(
        self,
        endpoint: EndpointSettings,
        *,
        stage: str,
        budget: BudgetSettings | None = None,
        cache: ResponseCache | None = None,
    ) -> None:
        self._ledger = Ledger(budget or BudgetSettings())
        self._lanes = [Lane(one, stage, self._ledger) for one in in_order(endpoint, budget)]
        self._cache = cache

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def model(self) -> str:
        """The model that is asked first, by its configured name."""
        return self._lanes[0].model

    @property
    def usage(self) -> Usage:
        """What the calls of this client came to so far."""
        return self._ledger.usage

    async def close(self) -> None:
        """Closes the connections; a second call does nothing."""
        for lane in self._lanes:
            await lane.close()

    async def complete(
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
            ServiceUnavailableError: connection, timeout or server error, after all retries.
            RateLimitedError: asked to slow down, after all retries.
            ConfigurationError: key, model or path is wrong.
            BadInputError: the endpoint refuses this request (too long, for one).
            BudgetExceededError: the budget has no room for another request; what is under way
                ends as it would have.
        """
        body = _body(messages, temperature, max_tokens, seed)
        key = self._key(body, scope)
        if kept := await self._kept(key):
            self._ledger.cached()
            return kept

        async def ask(lane: Lane, question: Question) -> ChatResult:
            answer = await lane.ask(question)
            lane.record(answer, "ok")
            return answer.result

        result = await self._first_to(ask, body)
        await self._keep(key, result)
        return result

    async def complete_typed(  # noqa: PLR0913 - one question, and how it may be answered
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

        The endpoint is asked for the schema (constrained decoding where it can); the answer
        is validated, and one repair turn shows the model what was wrong. An endpoint that
        refuses schemas is asked in words instead, or for plain text if that can be read.

        Args:
            messages: the conversation.
            schema: what the answer is validated against.
            temperature: of the sampling.
            max_tokens: of the answer.
            seed: of the sampling.
            scope: makes the answer one that the response cache keeps.
            parse_text: reads an answer that is no JSON; its ValueError says what is wrong.

        Raises:
            InvalidAnswerError: the repaired answer does not fit either; a ModelOutputError.
            ServiceUnavailableError, RateLimitedError, ConfigurationError, BadInputError,
                BudgetExceededError: as for `complete`.
        """
        form = Form(schema, parse_text)
        body = _body(messages, temperature, max_tokens, seed)
        key = self._key(body, scope, schema)
        if kept := await self._kept(key):
            try:
                value = form.read(kept)
            except UnreadableError:
                log.warning("llm.cached_answer_unreadable", schema=schema.__name__)
            else:
                self._ledger.cached()
                return TypedResult(value=value, text=kept.text, model=kept.model, calls=())
        with recorded_calls() as calls:

            async def ask(lane: Lane, question: Question) -> tuple[ValueT, ChatResult]:
                try:
                    return await ask_typed(lane, question, form)
                except UnreadableError as error:
                    raise InvalidAnswerError(
                        f"model {lane.model} gave no valid {schema.__name__} in 2 tries: {error}",
                        calls=tuple(calls),
                    ) from error

            value, result = await self._first_to(ask, body)
        await self._keep(key, result)
        return TypedResult(value=value, text=result.text, model=result.model, calls=tuple(calls))

    async def choose(
        self,
        messages: list[Message],
        choices: tuple[str, ...],
        *,
        seed: int | None = None,
        scope: CacheScope | None = None,
    ) -> ChoiceResult:
        """How likely the model finds each of a few one-word answers, in one request of one token.

        Args:
            messages: the conversation; its last turn asks for one of the choices.
            choices: words that begin differently.
            seed: of the sampling, for endpoints that give no likelihoods.
            scope: makes the answer one that the response cache keeps.

        Raises:
            InvalidAnswerError: the model has none of them in mind; a ModelOutputError.
            ServiceUnavailableError, RateLimitedError, ConfigurationError, BadInputError,
                BudgetExceededError: as for `complete`.
        """
        body = _body(messages, 0.0, 1, seed)
        key = self._key({**body, "choices": list(choices)}, scope)
        if kept := await self._kept(key):
            try:
                shares = shares_of(json.loads(kept.text), choices)
            except (AttributeError, TypeError, ValueError):
                log.warning("llm.cached_answer_unreadable", schema="choice")
            else:
                self._ledger.cached()
                return ChoiceResult(shares=shares, model=kept.model, calls=())
        with recorded_calls() as calls:

            async def ask(lane: Lane, question: Question) -> tuple[dict[str, float], ChatResult]:
                try:
                    return await ask_choice(lane, question, choices)
                except UnreadableError as error:
                    raise InvalidAnswerError(
                        f"model {lane.model} did not choose: {error}", calls=tuple(calls)
                    ) from error

            shares, result = await self._first_to(ask, body)
        await self._keep(key, replace(result, text=json.dumps(shares)))
        return ChoiceResult(shares=shares, model=result.model, calls=tuple(calls))

    async def _first_to(
        self, ask: Callable[[Lane, Question], Awaitable[_T]], body: dict[str, Any]
    ) -> _T:
        """The answer of the first model that gives one; else what the first one raised."""
        question = Question(body)
        failures: list[Exception] = []
        for lane in self._lanes:
            try:
                return await ask(lane, self._for(lane, question))
            except _NEXT_MODEL as error:
                self._note(failures, lane, error)
        raise failures[0]

    def _for(self, lane: Lane, question: Question) -> Question:
        return Question(question.body, question.numbers, patient=lane is self._lanes[-1])

    def _note(self, failures: list[Exception], lane: Lane, error: Exception) -> None:
        failures.append(error)
        if lane is not self._lanes[-1]:
            log.warning("llm.next_model", model=lane.model, error=str(error))

    def _key(
        self, body: dict[str, Any], scope: CacheScope | None, schema: type[BaseModel] | None = None
    ) -> str | None:
        if self._cache is None or scope is None:
            return None
        parameters = {name: value for name, value in body.items() if name != "messages"}
        if schema is not None:
            parameters["schema"] = schema_of(schema)
        return cache_key(self.model, body["messages"], parameters, scope)

    async def _kept(self, key: str | None) -> ChatResult | None:
        if self._cache is None or key is None:
            return None
        kept = await self._cache.get(key)
        if kept is None:
            return None
        return ChatResult(
            text=kept.text,
            finish_reason=kept.finish_reason,
            model=kept.model,
            prompt_tokens=kept.prompt_tokens,
            completion_tokens=kept.completion_tokens,
            latency_ms=0.0,
        )

    async def _keep(self, key: str | None, result: ChatResult) -> None:
        if self._cache is None or key is None:
            return
        answer = CachedAnswer(
            text=result.text,
            finish_reason=result.finish_reason,
            model=result.model,
            prompt_tokens=result.prompt_tokens,
            completion_tokens=result.completion_tokens,
        )
        await self._cache.put(key, answer)


def _body(
    messages: list[Message], temperature: float, max_tokens: int, seed: int | None
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "messages": messages,
        "temperature": temperature,
        "max_tokens": max_tokens,
    }
    return body if seed is None else {**body, "seed": seed}
