"""The async chat client: text, or a typed value, from any OpenAI-compatible endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from pydantic import BaseModel, ValidationError

from guidealign.errors import BadInputError
from guidealign.llm._transport import Transport
from guidealign.llm.cache import CacheScope, ResponseCache
from guidealign.llm.model import (
    CallRecord,
    CallStatus,
    ChatResult,
    InvalidAnswerError,
    Message,
    TypedResult,
    Usage,
    ValueT,
    current_sinks,
)
from guidealign.settings import BudgetSettings, EndpointSettings

_MAX_ECHO_CHARS = 1_500


class AsyncChatClient:
    """Sends questions to an endpoint; one instance serves the tasks of one event loop.

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
        self._transport = Transport(endpoint, stage)
        self._cache = cache
        self._budget = budget
        self._schemas_refused = False

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
        return self._transport.endpoint.model

    @property
    def usage(self) -> Usage:
        """What the calls of this client came to so far."""
        return Usage()

    async def close(self) -> None:
        """Closes the connections; a second call does nothing."""
        await self._transport.close()

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
            BudgetExceededError: the budget does not allow another request.
        """
        del scope
        result = await self._ask(_request(self, messages, temperature, max_tokens, seed))
        self._record(result, attempt=1, status="ok", error=None)
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
        refuses schemas is asked in words instead.

        Raises:
            InvalidAnswerError: the repaired answer does not fit either; a ModelOutputError.
            ServiceUnavailableError, RateLimitedError, ConfigurationError, BadInputError:
                as for `complete`.
        """
        del parse_text, scope
        request = _request(self, messages, temperature, max_tokens, seed)
        calls: list[CallRecord] = []
        problem = ""
        for attempt in (1, 2):
            result = await self._ask_for_schema(request, schema, calls)
            try:
                value = schema.model_validate_json(_json_part(result.text))
            except ValidationError as error:
                problem = _explain(error, result.finish_reason)
                self._record(result, attempt, status="invalid", error=problem, calls=calls)
                request = {**request, "messages": _repair(messages, result.text, problem)}
            else:
                self._record(result, attempt, status="ok", error=None, calls=calls)
                return TypedResult(
                    value=value, text=result.text, model=result.model, calls=tuple(calls)
                )
        raise InvalidAnswerError(
            f"model {self.model} gave no valid {schema.__name__} in 2 tries: {problem}",
            calls=tuple(calls),
        )

    async def _ask(
        self, request: dict[str, Any], calls: list[CallRecord] | None = None
    ) -> ChatResult:
        sinks = current_sinks() if calls is None else (*current_sinks(), calls.append)
        return await self._transport.send(request, sinks)

    async def _ask_for_schema(
        self, request: dict[str, Any], schema: type[BaseModel], calls: list[CallRecord]
    ) -> ChatResult:
        if not self._schemas_refused:
            response_format = {
                "type": "json_schema",
                "json_schema": {
                    "name": schema.__name__,
                    "strict": True,
                    "schema": schema.model_json_schema(),
                },
            }
            try:
                return await self._ask({**request, "response_format": response_format}, calls)
            except BadInputError as error:
                if not _refuses_schema(error):
                    raise
                self._schemas_refused = True
        return await self._ask(
            {**request, "messages": _in_words(request["messages"], schema)}, calls
        )

    def _record(
        self,
        result: ChatResult,
        attempt: int,
        *,
        status: CallStatus,
        error: str | None,
        calls: list[CallRecord] | None = None,
    ) -> None:
        record = CallRecord(
            stage=self._transport.stage,
            model=result.model,
            attempt=attempt,
            status=status,
            error=error,
            prompt_tokens=result.prompt_tokens,
            completion_tokens=result.completion_tokens,
            latency_ms=result.latency_ms,
        )
        if calls is not None:
            calls.append(record)
        for sink in current_sinks():
            sink(record)


def _request(
    client: AsyncChatClient,
    messages: list[Message],
    temperature: float,
    max_tokens: int,
    seed: int | None,
) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": client.model,
        "messages": messages,
        "temperature": temperature,
        "max_tokens": max_tokens,
    }
    return request if seed is None else {**request, "seed": seed}


def _json_part(text: str) -> str:
    """The outermost object of an answer that may be wrapped in words or a code fence."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text


def _explain(error: ValidationError, finish_reason: str) -> str:
    if finish_reason == "length":
        return "the answer was cut off: it must be shorter"
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the answer"
    return f"{place}: {first['msg']}"


def _repair(messages: list[Message], answer: str, problem: str) -> list[Message]:
    return [
        *messages,
        {"role": "assistant", "content": answer[:_MAX_ECHO_CHARS]},
        {
            "role": "user",
            "content": f"That answer cannot be used ({problem}). Give the corrected answer:"
            " only one complete JSON object of the form asked for, nothing else.",
        },
    ]


def _in_words(messages: list[Message], schema: type[BaseModel]) -> list[Message]:
    ask = (
        "\n\nAnswer with one JSON object and nothing else. It must fit this JSON schema:\n"
        + json.dumps(schema.model_json_schema(), separators=(",", ":"))
    )
    return [*messages[:-1], {**messages[-1], "content": messages[-1]["content"] + ask}]


def _refuses_schema(error: BadInputError) -> bool:
    words = str(error).lower()
    return any(word in words for word in ("response_format", "json_schema", "grammar"))
