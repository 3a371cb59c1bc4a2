"""What a chat call returns, the record it leaves, and what all calls came to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel

from guidealign.errors import ModelOutputError

Message = dict[str, str]
CallStatus = Literal["ok", "invalid", "error"]
ValueT = TypeVar("ValueT", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class ChatResult:
    """One answer as text."""

    text: str
    finish_reason: str
    model: str
    """Who answered: the endpoint's model or one of its fallbacks."""
    prompt_tokens: int
    completion_tokens: int
    latency_ms: float
    cached_tokens: int = 0
    """Of the prompt, those that the server took from its prefix cache."""
    cost_usd: float = 0.0
    first_token: Mapping[str, float] | None = None
    """Log-likelihoods of what could stand first; None: they were not asked for or not given."""


@dataclass(frozen=True, kw_only=True)
class CallRecord:
    """One request that was sent, whatever came of it; holds no user text."""

    stage: str
    model: str
    attempt: int
    """Counts from 1 within one question, over retries and the repair turn."""
    status: CallStatus
    """`invalid`: answered, but not in the form asked for; `error`: not answered."""
    error: str | None
    prompt_tokens: int
    completion_tokens: int
    latency_ms: float
    cached_tokens: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TypedResult(Generic[ValueT]):
    """A validated answer, its text as the model gave it, and all calls it took."""

    value: ValueT
    text: str
    model: str
    """Who answered: the endpoint's model or one of its fallbacks."""
    calls: tuple[CallRecord, ...]
    """Empty when the answer came from the response cache."""


@dataclass(frozen=True, kw_only=True)
class ChoiceResult:
    """How likely the model finds each of a few answers."""

    shares: Mapping[str, float]
    """By choice; they add up to 1. All on one choice where the endpoint gives no likelihoods."""
    model: str
    """Who answered: the endpoint's model or one of its fallbacks."""
    calls: tuple[CallRecord, ...]
    """Empty when the answer came from the response cache."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a client's calls came to so far."""

    n_requests: int = 0
    """Sent, repeated and hedged ones included."""
    n_failed: int = 0
    """Sent and not answered."""
    n_cached: int = 0
    """Questions answered by the response cache: nothing was sent."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0


class InvalidAnswerError(ModelOutputError):
    """A model's answer does not fit its schema, also after the repair turn."""

    def __init__(self, message: str, *, calls: tuple[CallRecord, ...]) -> None:
        super().__init__(message)
        self.calls = calls


RecordSink = Callable[[CallRecord], None]
_SINKS: ContextVar[tuple[RecordSink, ...]] = ContextVar("guidealign_llm_sinks", default=())


@contextmanager
def recorded_calls() -> Iterator[list[CallRecord]]:
    """Collects every call made in the block by this thread or task, also those that failed."""
    calls: list[CallRecord] = []
    token = _SINKS.set((*_SINKS.get(), calls.append))
    try:
        yield calls
    finally:
        _SINKS.reset(token)


def current_sinks() -> tuple[RecordSink, ...]:
    """Where the calls of this thread or task are to be recorded now."""
    return _SINKS.get()
