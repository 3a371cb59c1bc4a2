"""Token buckets: how many requests and tokens a minute a key may spend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """Whether a request may go on, and what a client may be told (`x-ratelimit-*`)."""

    allowed: bool
    limited_by: Literal["requests", "tokens"] | None = None
    retry_after_s: float = 0.0
    remaining_requests: int | None = None
    """None: no limit."""
    remaining_tokens: int | None = None
