"""The way to one model: a slot, the breaker, the budget, the request, and again if it may pass."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from guidealign.errors import (
    GuidealignError,
    RateLimitedError,
    ServiceUnavailableError,
    TransientError,
)
from guidealign.llm._breaker import CircuitBreaker
from guidealign.llm._errors import CircuitOpenError, OverloadedError, UnansweredError
from guidealign.llm._hedge import Hedge
from guidealign.llm._ledger import Amount, Ledger
from guidealign.llm._limiter import LONGEST_WAIT_S, AdaptiveLimiter, Slot
from guidealign.llm._wire import Wire
from guidealign.llm.model import CallRecord, CallStatus, ChatResult, current_sinks
from guidealign.settings import EndpointSettings

_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 20.0


@dataclass
class Question:
    """What is asked, and how many requests it took so far."""

    body: dict[str, Any]
    """Of the request, without the model."""
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    patient: bool = True
    """Whether to wait for a server that is left alone; no: somebody else can be asked."""

    def turn(self, **changes: Any) -> Question:
        """The same question asked in another way; its requests go on being counted."""
        return Question({**self.body, **changes}, self.numbers, self.patient)


@dataclass(frozen=True)
class Answer:
    """A result, and the how-manieth request of its question it came from."""

    result: ChatResult
    attempt: int


class Lane:
    """Asks one model of one endpoint.

    Args:
        endpoint: the model and where it is; its fallbacks are not looked at.
        stage: what the calls are for, as it is recorded.
        ledger: totals and budget, shared with other lanes.

    Raises:
        ConfigurationError: the endpoint has no base URL.
    """

    def __init__(self, endpoint: EndpointSettings, stage: str, ledger: Ledger) -> None:
        self._wire = Wire(endpoint, stage)
        self._endpoint = endpoint
        self._stage = stage
        self._ledger = ledger
        self._limiter = AdaptiveLimiter(endpoint.concurrency, self._wire.where)
        self._breaker = CircuitBreaker(endpoint.breaker_failures, self._wire.where)
        self.refuses_schemas = False
        """Learned from the first refusal: the endpoint has no JSON-schema mode."""
        self.refuses_likelihoods = False
        """Learned the same way: the endpoint tells no likelihoods of tokens."""

    @property
    def model(self) -> str:
        """The model's name as it is configured and recorded."""
        return self._endpoint.model

    async def close(self) -> None:
        """Closes the connections; a second call does nothing."""
        await self._wire.close()

    async def ask(self, question: Question) -> Answer:
        """Sends a question, again on transient errors; each failure is recorded.

        Raises:
            TransientError: all tries failed.
            ConfigurationError: key, model or path is wrong.
            BadInputError: the endpoint refuses this request.
            BudgetExceededError: the budget has no room for a request.
        """
        for n_retries in itertools.count():
            try:
                return await self._ask_once(question, urgent=n_retries > 0)
            except TransientError as error:
                await self._wait(error, n_retries, question)
        raise AssertionError("unreachable: counting does not end")

    def record(self, answer: Answer, status: CallStatus, error: str | None = None) -> None:
        """Records an answered request, once it is known what it was good for."""
        result = answer.result
        record = CallRecord(
            stage=self._stage,
            model=result.model,
            attempt=answer.attempt,
            status=status,
            error=error,
            prompt_tokens=result.prompt_tokens,
            completion_tokens=result.completion_tokens,
            latency_ms=result.latency_ms,
            cached_tokens=result.cached_tokens,
            cost_usd=result.cost_usd,
        )
        for sink in current_sinks():
            sink(record)

    async def _ask_once(self, question: Question, *, urgent: bool) -> Answer:
        if self._endpoint.hedge_after_s is None:
            return await self._send(question, urgent=urgent)
        return await self._hedged(question, self._endpoint.hedge_after_s, urgent=urgent)

    async def _send(
        self, question: Question, *, urgent: bool, on_sent: Callable[[], None] | None = None
    ) -> Answer:
        """Everything around a request: may it go, and what its outcome means."""
        slot = await self._limiter.acquire(urgent=urgent)
        try:
            probe = await self._breaker.admit()
            try:
                most = await self._hold(question)
            except BaseException:
                self._breaker.abandoned(probe=probe)
                raise
            attempt, started = next(question.numbers), time.perf_counter()
            try:
                if on_sent is not None:
                    on_sent()
                result = await self._wire.post(question.body)
            except BaseException as error:
                self._failed(error, slot, most, probe=probe)
                self._record_failure(error, attempt, started)
                raise
            self._limiter.answered(slot)
            self._breaker.succeeded()
            self._ledger.answered(most, result, question.body["messages"])
        finally:
            self._limiter.release()
        return Answer(result, attempt)

    async def _hedged(self, question: Question, after_s: float, *, urgent: bool) -> Answer:
        """The first answer of at most two requests; the second goes out if the first stalls.

        The first runs in this task, as most need no second.
        """
        hedge = Hedge(lambda: self._send(question, urgent=True), after_s)
        try:
            async with asyncio.timeout(None) as won:
                # The time to wait begins when the request is sent, not when it queues for a slot.
                return await self._send(
                    question, urgent=urgent, on_sent=lambda: hedge.arm(won.reschedule)
                )
        except TimeoutError:
            return await hedge.result()
        except GuidealignError as error:
            return await hedge.result_or(error)
        finally:
            await hedge.close()

    async def _hold(self, question: Question) -> Amount:
        body = question.body
        most = self._ledger.most(body["messages"], body["max_tokens"], self._endpoint.prices)
        await self._ledger.hold(most)
        return most

    def _failed(self, error: BaseException, slot: Slot, most: Amount, *, probe: bool) -> None:
        given_up = not isinstance(error, GuidealignError)
        self._ledger.failed(most, may_be_charged=given_up or isinstance(error, UnansweredError))
        if given_up:
            self._breaker.abandoned(probe=probe)
        elif isinstance(error, RateLimitedError | OverloadedError):
            self._limiter.refused(slot, error.retry_after_s)
        else:
            self._limiter.answered(slot)
        if isinstance(error, ServiceUnavailableError):
            self._breaker.failed(probe=probe)
        elif not given_up:
            self._breaker.succeeded()

    def _record_failure(self, error: BaseException, attempt: int, started: float) -> None:
        known = isinstance(error, GuidealignError)
        record = CallRecord(
            stage=self._stage,
            model=self.model,
            attempt=attempt,
            status="error",
            error=str(error) if known else "given up before it was answered",
            prompt_tokens=0,
            completion_tokens=0,
            latency_ms=(time.perf_counter() - started) * 1000,
        )
        for sink in current_sinks():
            sink(record)

    async def _wait(self, error: TransientError, n_retries: int, question: Question) -> None:
        """Waits until another try is due, or raises the error if there is to be none."""
        asked_s = error.retry_after_s or 0.0
        hopeless = asked_s > LONGEST_WAIT_S or n_retries >= self._endpoint.max_retries
        if hopeless or (isinstance(error, CircuitOpenError) and not question.patient):
            raise error
        backoff_s = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2**n_retries)
        # Jitter, so that those who failed together do not come back together.
        wait_s = max(asked_s, random.uniform(0, backoff_s))  # noqa: S311
        await asyncio.sleep(wait_s + random.uniform(0, asked_s / 10))  # noqa: S311
