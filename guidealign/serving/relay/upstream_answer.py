"""Passing answers on: bytes as they come, streams event by event, errors in OpenAI's format."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from guidealign.serving.refusal import Refusal
from guidealign.serving.relay.refusal_detection import Opening
from guidealign.serving.relay.upstream import Answer

_MOST_HELD_BYTES = 256 * 2**10
_MOST_ERROR_BYTES = 2**20
_PARSED_AT_ONCE_BYTES = 512 * 2**10
_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_DATA = b"data:"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FIELDS = (b"data", b"event", b"id", b"retry")
_EVENT_LINE = re.compile(rb"(?:%b)?:|(?:%b)[\r\n]" % (b"|".join(_FIELDS), b"|".join(_FIELDS)))
_EVENT_LINE_BEGUN = re.compile(
    b"|".join(name[:n] for name in _FIELDS for n in range(len(name) + 1))
)
_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


@dataclass(kw_only=True)
class Usage:
    """Tokens of a request, None: the upstream did not say; and how the answer begins."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    opening: Opening = field(default_factory=Opening)

    def take(self, answer: Any) -> None:
        """From an answer, or the events of a stream, of either API."""
        self.opening.take(answer)
        if not isinstance(answer, dict):
            return
        inner = answer.get("response")
        usage = answer.get("usage") or (inner.get("usage") if isinstance(inner, dict) else None)
        if not isinstance(usage, dict):
            return
        self.prompt_tokens = _count(usage, "prompt_tokens", "input_tokens")
        self.completion_tokens = _count(usage, "completion_tokens", "output_tokens")


def _count(usage: dict[str, Any], *names: str) -> int | None:
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None


def is_stream(answer: Answer) -> bool:
    """Whether an answer comes as server-sent events."""
    kind = answer.response.headers.get("Content-Type", "")
    return answer.response.status < 300 and kind.lower().startswith("text/event-stream")


async def read_answer(answer: Answer, *, limit: int) -> bytes:
    """All of an answer that is no stream.

    Raises:
        Refusal: 502 or 504: it breaks off, stops coming, or is too large.
    """
    name = answer.upstream.name
    parts: list[bytes] = []
    size = 0
    try:
        async for part in answer.response.content.iter_any():
            size += len(part)
            if size > limit:
                raise Refusal(
                    502,
                    "upstream_answer_too_large",
                    f"the upstream {name} answered with more than {limit} bytes",
                )
            parts.append(part)
    except TimeoutError as error:
        raise Refusal(
            504, "upstream_timeout", f"the upstream {name} stopped in the middle of its answer"
        ) from error
    except (aiohttp.ClientError, OSError) as error:
        raise Refusal(
            502, "upstream_broke_off", f"the upstream {name} broke off its answer"
        ) from error
    finally:
        answer.response.release()
    return b"".join(parts)


def usage_of(content: bytes, upstream: str) -> Usage:
    """The tokens that an answer names.

    Raises:
        Refusal: 502, the answer is no JSON object.
    """
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise _nonsense(upstream, "is no JSON object")
    usage = Usage()
    usage.take(answer)
    return usage


async def read_usage(content: bytes, upstream: str) -> Usage:
    """`usage_of`, of a large answer in a thread, so that nobody else waits for it.

    Raises:
        Refusal: 502, the answer is no JSON object.
    """
    if len(content) > _PARSED_AT_ONCE_BYTES:
        return await asyncio.to_thread(usage_of, content, upstream)
    return usage_of(content, upstream)


def _nonsense(upstream: str, what: str) -> Refusal:
    return Refusal(502, "upstream_nonsense", f"what the upstream {upstream} answered {what}")


async def read_error(answer: Answer, *, own_key: bool) -> Refusal | bytes:
    """What the caller gets for an upstream's error: its body as it is, where that is in format.

    Args:
        answer: with a status that is no success.
        own_key: it was asked with the gateway's key: that this is refused is no fault of the
            caller's, and its words may show parts of the key.
    """
    status, name = answer.response.status, answer.upstream.name
    content = await read_answer(answer, limit=_MOST_ERROR_BYTES)
    if status < 400:
        return Refusal(502, "upstream_redirects", f"the upstream {name} answered {status}")
    if own_key and status in {401, 403}:
        return Refusal(
            502, "upstream_refuses_key", f"the upstream {name} refuses the gateway's own key"
        )
    try:
        error = json.loads(content)["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        error = None
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return content
    words = error if isinstance(error, str) else content.decode("utf-8", "replace")
    message = " ".join(words.split())[:500] or f"status {status}"
    wait = answer.response.headers.get("Retry-After")
    return Refusal(
        status,
        "upstream_error",
        f"the upstream {name} says: {message}",
        headers={} if wait is None else {"retry-after": wait},
    )


class EventStream:
    """An upstream's server-sent events, passed on whole.

    An event whose end has not come is held back, so that a stream that breaks off ends in an error
    event that clients can read, not in half an event that they cannot.
    """

    def __init__(self, answer: Answer, *, field: str | None) -> None:
        """A stream that has not been read.

        Args:
            answer: of the upstream.
            field: JSON of the member `guidealign` for the first event; None: events stay as they
                are.
        """
        self._answer = answer
        self._field = field
        self.usage = Usage()
        self.n_events = 0
        self.broken: str | None = None
        """How the upstream broke off; None: it did not."""
        self._chunks = answer.response.content.iter_any()
        self._held = b""

    async def begin(self) -> None:
        """Reads until it is known that events come; the caller has been sent nothing yet.

        Raises:
            Refusal: 502 or 504: it is no stream of events, breaks off or stops coming.
        """
        try:
            await self._begin()
        except BaseException:
            self._answer.response.close()
            raise

    async def _begin(self) -> None:
        name = self._answer.upstream.name
        try:
            while not (known := _begins_as_events(self._held)):
                if known is False or len(self._held) > _MOST_HELD_BYTES:
                    raise _nonsense(name, "as a stream holds no events")
                self._held += await anext(self._chunks)
        except StopAsyncIteration as error:
            raise _nonsense(name, "as a stream holds no events") from error
        except TimeoutError as error:
            raise self._refusal(504, "upstream_timeout", "stopped before its answer") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._refusal(502, "upstream_broke_off", "broke off its answer") from error

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._parts()

    async def _parts(self) -> AsyncIterator[bytes]:
        try:
            if begun := self._whole():
                yield self._noted(begun)
            async for chunk in self._chunks:
                self._held += chunk
                if whole := self._whole():
                    yield self._noted(whole)
            if self._held:
                yield self._noted(self._held)
        except TimeoutError:
            self.broken = "upstream_timeout"
            yield self._last_words("stopped in the middle of its answer")
        except (aiohttp.ClientError, OSError):
            self.broken = "upstream_broke_off"
            yield self._last_words("broke off its answer")

    def _whole(self) -> bytes:
        """Takes the events whose end has come out of what is held."""
        end = _last_end(self._held)
        if not end and len(self._held) > _MOST_HELD_BYTES:
            end = len(self._held)
        whole, self._held = self._held[:end], self._held[end:]
        return whole

    def _last_words(self, what: str) -> bytes:
        return b"data: " + self._refusal(502, self.broken or "", what).encoded() + b"\n\n"

    def _refusal(self, status: int, code: str, what: str) -> Refusal:
        return Refusal(status, code, f"the upstream {self._answer.upstream.name} {what}")

    def _noted(self, events: bytes) -> bytes:
        if self._field is not None and _DATA in events:
            events = _with_field(events, self._field)
            self._field = None
        self.n_events += events.count(_DATA)
        opening = self.usage.opening
        if not opening.is_full or _USAGE.search(events):
            for line in events.splitlines():
                if line.startswith(_DATA) and (not opening.is_full or _USAGE.search(line)):
                    try:
                        self.usage.take(json.loads(line[len(_DATA) :]))
                    except (ValueError, RecursionError):
                        continue
        return events

    async def close(self) -> None:
        """Lets go of the upstream; one that still writes is cut off."""
        self._answer.response.close()


def _begins_as_events(held: bytes) -> bool | None:
    """Whether the first line is one of a stream of events; None: it has not come yet."""
    held = held.removeprefix(_BYTE_ORDER_MARK).lstrip(b"\r\n")
    if _EVENT_LINE.match(held):
        return True
    begun = _EVENT_LINE_BEGUN.fullmatch(held) or _BYTE_ORDER_MARK.startswith(held)
    return None if begun else False


def _last_end(held: bytes) -> int:
    """Behind the last event that is whole; 0: none is."""
    return max((at + len(end) for end in _ENDS if (at := held.rfind(end)) >= 0), default=0)


def _with_field(events: bytes, field: str) -> bytes:
    """The member `guidealign` in the first event that carries an object."""
    at = events.index(_DATA)
    brace = events.find(b"{", at)
    return events if brace < 0 else with_member(events, field, at=brace)


def with_member(content: bytes, field: str, *, at: int | None = None) -> bytes:
    """JSON with a first member `guidealign`; what is no object stays as it is.

    Args:
        content: JSON.
        field: the member's value, as JSON.
        at: where the object begins; None: at the first character.
    """
    start = len(content) - len(content.lstrip()) if at is None else at
    if content[start : start + 1] != b"{":
        return content
    rest = content[start + 1 :]
    comma = b"" if rest.lstrip().startswith(b"}") else b","
    return content[: start + 1] + b'"guidealign":' + field.encode() + comma + rest
