"""Times of every form that logs have; none of them lands in another century."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guidealign.ingest._times import parse_time

_AT = datetime(2024, 4, 1, 22, 45, 30, tzinfo=UTC)
_EPOCH = int(_AT.timestamp())


@pytest.mark.parametrize(
    "value",
    [
        _EPOCH, _EPOCH * 1_000, _EPOCH * 10**6, _EPOCH * 10**9, float(_EPOCH), Decimal(_EPOCH),
        str(_EPOCH), str(_EPOCH * 1_000), f"{_EPOCH}.0",
        "2024-04-01T22:45:30Z", "2024-04-01 22:45:30", "2024-04-01T22:45:30.000+00:00",
        "2024-04-01 22:45:30 UTC", "2024-04-02T00:45:30+02:00", "20240401T224530Z",
        "20240401224530",
        "01.04.2024 22:45:30", "Mon, 01 Apr 2024 22:45:30 +0000",
        {"$date": "2024-04-01T22:45:30Z"}, {"$date": {"$numberLong": str(_EPOCH * 1_000)}},
        _AT, _AT.replace(tzinfo=None), _AT.astimezone(timezone(timedelta(hours=5, minutes=30))),
    ],
    ids=str,
)  # fmt: skip
def test_one_moment_in_all_its_forms(value: Any) -> None:
    assert parse_time(value) == _AT


@pytest.mark.parametrize(
    ("value", "when"),
    [
        (1_712_011_530_123, datetime(2024, 4, 1, 22, 45, 30, 123_000, tzinfo=UTC)),
        (1_764_000_000.25, datetime(2025, 11, 24, 16, 0, 0, 250_000, tzinfo=UTC)),
        (20_240_401, datetime(2024, 4, 1, tzinfo=UTC)),
        ("20240401", datetime(2024, 4, 1, tzinfo=UTC)),
        (date(2024, 4, 1), datetime(2024, 4, 1, tzinfo=UTC)),
        ("24.12.2025", datetime(2025, 12, 24, tzinfo=UTC)),
    ],
)
def test_by_hand(value: Any, when: datetime) -> None:
    assert parse_time(value) == when


@pytest.mark.parametrize("value", [None, "", "  "])
def test_nothing_is_no_time(value: Any) -> None:
    assert parse_time(value) is None


@pytest.mark.parametrize(
    "value",
    [
        "yesterday", "03/04/2024", "31.02.2024", "2024-13-01", "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-08:00", "0001-01-01T00:00:00Z", 12, -5, 4e30, float("nan"),
        float("inf"), True, [1], {"when": 1}, "9" * 5_000, "1712-01-15T01:23:00",
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_what_is_no_time_of_ours_says_so(value: Any) -> None:
    with pytest.raises((ValueError, OverflowError)):
        parse_time(value)


@given(
    st.one_of(
        st.text(max_size=40), st.floats(), st.integers(), st.decimals(), st.datetimes(), st.dates(),
        st.from_regex(r"\d{1,20}(\.\d{1,4})?", fullmatch=True),
    )
)  # fmt: skip
def test_never_another_century(value: Any) -> None:
    try:
        when = parse_time(value)
    except (ValueError, OverflowError, ArithmeticError):
        return
    assert when is None or (when.tzinfo == UTC and 1970 <= when.year <= 2199)
