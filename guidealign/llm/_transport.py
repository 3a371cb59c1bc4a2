"""One async client of one endpoint, retries around each request."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from guidealign.errors import ConfigurationError, GuidealignError, TransientError
from guidealign.llm._errors import map_status_error, unavailable
from guidealign.llm.model import CallRecord, ChatResult, RecordSink
from guidealign.settings import EndpointSettings

if TYPE_CHECKING:
    import openai

_LONGEST_WAIT_S = 60.0
"""A longer Retry-After is the scheduler's to wait for, not a worker's."""
_BACKOFF = wait_random_exponential(multiplier=0.5, max=20)


class Transport:
    """Sends chat requests to one endpoint."""

    def __init__(self, endpoint: EndpointSettings, stage: str) -> None:
        if not endpoint.base_url:
            raise ConfigurationError(
                f"no model endpoint is configured for {stage}: run `guidealign up`, or set"
                " GUIDEALIGN_SAFETY__BASE_URL and GUIDEALIGN_BASE__BASE_URL"
            )
        self.endpoint = endpoint
        self.stage = stage
        parts = urlsplit(endpoint.base_url)
        host = parts.hostname or endpoint.base_url
        self.where = host if parts.port is None else f"{host}:{parts.port}"
        self._loopback = parts.hostname in {"127.0.0.1", "localhost", "::1"}
        self._slots = asyncio.Semaphore(endpoint.concurrency)
        self._client: openai.AsyncOpenAI | None = None

    async def close(self) -> None:
        """Closes the connections; a second call does nothing."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def send(self, request: dict[str, Any], sinks: tuple[RecordSink, ...]) -> ChatResult:
        """Sends a request, again on transient errors, and records each try.

        Raises:
            TransientError: all tries failed.
            ConfigurationError: key, model or path is wrong.
            BadInputError: the endpoint refuses this request.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception(_worth_waiting),
            stop=stop_after_attempt(self.endpoint.max_retries + 1),
            wait=_wait_s,
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                number = attempt.retry_state.attempt_number
                return await self._send_once(request, number, sinks)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _send_once(
        self, request: dict[str, Any], attempt: int, sinks: tuple[RecordSink, ...]
    ) -> ChatResult:
        async with self._slots:
            started = time.perf_counter()
            try:
                return await self._post(request, started)
            except GuidealignError as error:
                record = CallRecord(
                    stage=self.stage,
                    model=self.endpoint.model,
                    attempt=attempt,
                    status="error",
                    error=str(error),
                    prompt_tokens=0,
                    completion_tokens=0,
                    latency_ms=_since_ms(started),
                )
                for sink in sinks:
                    sink(record)
                raise

    async def _post(self, request: dict[str, Any], started: float) -> ChatResult:
        import openai

        try:
            async with asyncio.timeout(self.endpoint.timeout_s):
                answer = await self._open().chat.completions.create(**request)
        except (TimeoutError, openai.APITimeoutError) as error:
            limit = f"did not answer within {self.endpoint.timeout_s:g} s"
            raise unavailable(self.where, limit) from error
        except openai.APIStatusError as error:
            raise map_status_error(error, self.where) from error
        except openai.APIConnectionError as error:
            raise unavailable(self.where, "cannot be reached") from error
        except (openai.APIError, ValueError) as error:
            raise unavailable(self.where, "answered with something unreadable") from error
        return self._read(answer, _since_ms(started))

    def _read(self, answer: Any, latency_ms: float) -> ChatResult:
        # The client hands through whatever came with status 200, a proxy's HTML page included.
        choices = getattr(answer, "choices", None)
        if not choices or getattr(choices[0], "message", None) is None:
            raise unavailable(self.where, "answered with something that is no chat completion")
        usage = answer.usage
        return ChatResult(
            text=choices[0].message.content or "",
            finish_reason=choices[0].finish_reason or "stop",
            model=self.endpoint.model,
            prompt_tokens=(usage.prompt_tokens or 0) if usage else 0,
            completion_tokens=(usage.completion_tokens or 0) if usage else 0,
            latency_ms=latency_ms,
        )

    def _open(self) -> openai.AsyncOpenAI:
        import openai

        if self._client is None:
            self._client = openai.AsyncOpenAI(
                base_url=self.endpoint.base_url,
                api_key=self.endpoint.api_key.get_secret_value(),
                max_retries=0,
                # A proxy of the environment is for the outside, never for a local server.
                http_client=openai.DefaultAsyncHttpxClient(
                    trust_env=not self._loopback, timeout=self.endpoint.timeout_s
                ),
            )
        return self._client


def _worth_waiting(error: BaseException) -> bool:
    if not isinstance(error, TransientError):
        return False
    return (error.retry_after_s or 0) <= _LONGEST_WAIT_S


def _wait_s(state: RetryCallState) -> float:
    """Jittered backoff, and never less than the server asked for."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_s if isinstance(error, TransientError) else None
    return max(asked or 0.0, _BACKOFF(state))


def _since_ms(started: float) -> float:
    return (time.perf_counter() - started) * 1000
