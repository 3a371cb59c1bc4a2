"""Turns what the OpenAI client raises into errors a caller can act on."""

from __future__ import annotations

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


def unavailable(where: str, why: str) -> ServiceUnavailableError:
    """The endpoint did not answer; `why` is a few words."""
    return ServiceUnavailableError(
        f"the model server at {where} {why}: is it running? (`guidealign status`)"
    )


def map_status_error(error: openai.APIStatusError, where: str) -> GuidealignError:
    """The error for an HTTP status: 429, 408/409/5xx try again, other 4xx do not."""
    status = error.status_code
    wait = _retry_after_s(error.response.headers.get("retry-after"))
    if status == 429:
        return RateLimitedError(
            f"the model server at {where} asks for fewer requests", retry_after_s=wait
        )
    if status >= 500 or status in {408, 409}:
        mapped = unavailable(where, f"answered with status {status}")
        mapped.retry_after_s = wait
        return mapped
    if status in {401, 403}:
        return ConfigurationError(f"the model server at {where} refuses the API key: set api_key")
    if status in {404, 405}:
        return ConfigurationError(
            f"the model server at {where} knows no such model or path: check base_url and model"
        )
    reason = " ".join(str(error.message).split())[:_MAX_REASON_CHARS]
    return BadInputError(f"the model server at {where} refuses the request: {reason}")


def _retry_after_s(header: str | None) -> float | None:
    """Seconds of a Retry-After header: a number or an HTTP date."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(header)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
