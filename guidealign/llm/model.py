"""What a chat call returns, and the record it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel

from guidealign.errors import ModelOutputError

CallStatus = Literal["ok", "invalid", "error"]
ValueT = TypeVar("ValueT", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class ChatResult:
    """One answer as text."""

    text: str
    finish_reason: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    latency_ms: float


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


@dataclass(frozen=True, kw_only=True)
class TypedResult(Generic[ValueT]):
    """A validated answer, its text as the model gave it, and all calls it took."""

    value: ValueT
    text: str
    calls: tuple[CallRecord, ...]


class InvalidAnswerError(ModelOutputError):
    """A model's answer does not fit its schema, also after the repair turn."""

    def __init__(self, message: str, *, calls: tuple[CallRecord, ...]) -> None:
        super().__init__(message)
        self.calls = calls


RecordSink = Callable[[CallRecord], None]
_SINKS: ContextVar[tuple[RecordSink, ...]] = ContextVar("guidealign_llm_sinks", default=())


@contextmanager
def recorded_calls() -> Iterator[list[CallRecord]]:
    """Collects every call made in the block by this thread, also those that failed."""
    calls: list[CallRecord] = []
    token = _SINKS.set((*_SINKS.get(), calls.append))
    try:
        yield calls
    finally:
        _SINKS.reset(token)


def current_sinks() -> tuple[RecordSink, ...]:
    """Where this thread's calls are to be recorded now."""
    return _SINKS.get()
