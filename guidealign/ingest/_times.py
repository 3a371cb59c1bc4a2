"""Times as logs write them: ISO 8601, epochs of any unit, German dates, mail headers."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_YEAR = 2199
END_S = 7_258_118_400
"""Seconds from the epoch to the end of the last year that is taken for a time."""
# The Python function takes `1712011530123` for a day in 1712 with the `3` between day and time: it
# is asked only where the form leaves no doubt.
_ISO = re.compile(r"\d{4}-?\d{2}-?\d{2}(?:[T ]\S.*)?\Z")
_ZONE_WORD = re.compile(r" ?(?:UTC|GMT|Z)\Z")
_NUMBER = re.compile(r"-?\d{1,20}(?:\.\d{1,20})?\Z")
_COMPACT = re.compile(r"(?:19|20|21)\d{12}\Z")
_GERMAN = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:,? +(\d{1,2}):(\d{2})(?::(\d{2}))?)?\Z")
_MAIL = re.compile(r"(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d")
_UNITS = ((10**8, 10**10, 1), (10**11, 10**13, 10**3), (10**14, 10**16, 10**6),
          (10**17, 10**19, 10**9))  # fmt: skip
"""Least, end, and units a second: the ranges of epochs from 1973 to 2286 do not overlap."""


def parse_time(value: Any) -> datetime | None:
    """When something was said, in UTC; a time without a zone is taken as UTC.

    A number is an epoch in seconds, milli-, micro- or nanoseconds: which of them follows from its
    size, for the years 1973 to 2286.

    Returns:
        None where nothing is given.

    Raises:
        ValueError: the value is no time that is understood, or none from 1970 to 2199.
    """
    for name in ("$date", "$numberLong"):  # as MongoDB exports them
        if isinstance(value, dict) and name in value:
            value = value[name]
    return _parse_scalar(value)


def _parse_scalar(value: Any) -> datetime | None:
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return _checked(value)
    if isinstance(value, date):
        return _checked(datetime(value.year, value.month, value.day, tzinfo=UTC))
    if isinstance(value, bool):
        raise ValueError("a truth value is no time")  # noqa: TRY004 - the caller knows one error
    if isinstance(value, int | float | Decimal):
        return _parse_number(value)
    if isinstance(value, str):
        return _parse_text(value.strip())
    raise ValueError(f"{type(value).__name__} is no time")


def _parse_number(value: float | Decimal) -> datetime:
    for least, end, units in _UNITS:
        if least <= value < end:
            whole = int(value)
            micros = whole * 10**6 // units + int((value - whole) * 10**6) // units
            return _checked(EPOCH + timedelta(microseconds=micros))
    if value == int(value) and 19_700_101 <= value <= 21_991_231:
        return _checked(datetime.strptime(str(int(value)), "%Y%m%d").replace(tzinfo=UTC))
    raise ValueError("the number is no epoch from 1973 to 2286")


def _parse_text(words: str) -> datetime | None:
    if not words:
        return None
    if _COMPACT.match(words):
        return _checked(datetime.strptime(words, "%Y%m%d%H%M%S").replace(tzinfo=UTC))
    if _NUMBER.match(words):
        return _parse_number(Decimal(words))
    if _ISO.match(words):
        return _checked(datetime.fromisoformat(_ZONE_WORD.sub("+00:00", words)))
    if german := _GERMAN.match(words):
        day, month, year, hour, minute, second = (int(part or 0) for part in german.groups())
        return _checked(datetime(year, month, day, hour, minute, second, tzinfo=UTC))
    if _MAIL.match(words):
        return _checked(parsedate_to_datetime(words))
    raise ValueError("the text is no time of a form that is known")


def _checked(when: datetime) -> datetime:
    """In UTC, and of an age in which people write to machines: others are a program's `never`."""
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    try:
        moved = aware.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the time lies outside the calendar") from error
    if not EPOCH.year <= moved.year <= _LAST_YEAR:
        raise ValueError("the time lies outside the years 1970 to 2199")
    return moved
