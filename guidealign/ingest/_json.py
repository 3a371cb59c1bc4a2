"""JSON as it comes: a number, a depth or a name that is not as it should be is one bad record."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

_MOST_DIGITS = 4_000
"""Python refuses to make an integer of more than 4,300 digits."""


@dataclass(frozen=True)
class Parsed:
    """A value, or the sentence why there is none."""

    value: Any = None
    error: str | None = None
    repeated: frozenset[str] = field(default_factory=frozenset)
    """Names that an object of it has twice, of which JSON does not say which one counts."""
    end: int = 0
    """Index behind the value."""


def parse_json(words: str, start: int | None = None) -> Parsed:
    """Reads a whole text as one value, or from `start` the value that begins there.

    Integers beyond 4,000 digits come out as text: no field of an input needs them as numbers.
    """
    repeated: set[str] = set()

    def to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            repeated.update(name for name, n in counts.items() if n > 1)
        return made

    decoder = json.JSONDecoder(object_pairs_hook=to_object, parse_int=_parse_int, strict=False)
    try:
        if start is None:
            value, end = decoder.decode(words), len(words)
        else:
            value, end = decoder.raw_decode(words, start)
    except json.JSONDecodeError as error:
        return Parsed(error=f"not JSON: {error.msg} at character {error.pos + 1}")
    except RecursionError:
        return Parsed(error="not read: brackets are nested too deeply")
    return Parsed(value, None, frozenset(repeated), end)


def _parse_int(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MOST_DIGITS else digits
