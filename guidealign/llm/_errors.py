"""Turns what the OpenAI client raises into errors a caller can act on.

Two kinds are known to this room only, because it slows down or stops for them:

- `OverloadedError`: the server has too much to do (503), or left a request unanswered
- `CircuitOpenError`: nothing was sent, because the server failed too often in a row
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from guidealign.errors import (
    BadInputError,
    ConfigurationError,
    GuidealignError,
    RateLimitedError,
    ServiceUnavailableError,
)

if TYPE_CHECKING:
    import openai

_MAX_REASON_CHARS = 200


class OverloadedError(ServiceUnavailableError):
    """The server has too much to do."""


class UnansweredError(OverloadedError):
    """The server took a request and did not answer in time; it may charge for it."""


class CircuitOpenError(ServiceUnavailableError):
    """The server is left alone for a while; nothing was sent."""


def unavailable(where: str, why: str) -> ServiceUnavailableError:
    """The endpoint did not answer; `why` is a few words."""
    return ServiceUnavailableError(_sentence(where, why))


def unanswered(where: str, limit_s: float) -> UnansweredError:
    """The endpoint took longer than a request may take."""
    return UnansweredError(_sentence(where, f"did not answer within {limit_s:g} s"))


def rate_limited(where: str, retry_after_s: float | None) -> RateLimitedError:
    """The endpoint asks for a pause."""
    return RateLimitedError(
        f"the model server at {where} asks for fewer requests: lower `concurrency`, or try again"
        " later",
        retry_after_s=retry_after_s,
    )


def map_status_error(error: openai.APIStatusError, where: str) -> GuidealignError:
    """The error for an HTTP status: 429, 408/409/5xx try again, other 4xx do not."""
    status = error.status_code
    wait = _retry_after_s(error.response.headers)
    if status == 429:
        return rate_limited(where, wait)
    if status >= 500 or status in {408, 409}:
        kind = OverloadedError if status == 503 else ServiceUnavailableError
        return kind(_sentence(where, f"answered with status {status}"), retry_after_s=wait)
    if status in {401, 403}:
        return ConfigurationError(f"the model server at {where} refuses the API key: set api_key")
    if status in {404, 405}:
        return ConfigurationError(
            f"the model server at {where} knows no such model or path: check base_url and model"
        )
    reason = " ".join(str(error.message).split())[:_MAX_REASON_CHARS]
    return BadInputError(f"the model server at {where} refuses the request: {reason}")


def _sentence(where: str, why: str) -> str:
    return f"the model server at {where} {why}: is it running? (`guidealign status`)"


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds of `Retry-After-Ms`, or of a `Retry-After` that is a number or an HTTP date."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit_s)
        except (KeyError, ValueError):
            continue
    try:
        when = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
