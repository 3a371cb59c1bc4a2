"""Values of Arrow columns in Python, whatever a writer put into them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa

from guidealign.ingest._times import EPOCH

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Of timestamps: how many a second."""


def text_of(value: Any) -> Any:
    """Bytes of old writers, who did not say that they are text, as text."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def values_of(column: pa.Array) -> list[Any]:
    """Values of a column in Python; a time beyond the calendar is a text that says so.

    A text whose bytes are not UTF-8 is its bytes.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if pa.types.is_timestamp(kind):
        return [_moment(value, UNITS[kind.unit]) for value in column.cast(pa.int64()).to_pylist()]
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):
        return [_value(value) for value in column]


def _moment(value: int | None, units: int) -> Any:
    """A time in UTC; beyond the calendar a text that no time is read from."""
    if value is None:
        return None
    try:
        return EPOCH + timedelta(microseconds=value * 10**6 // units)
    except OverflowError:
        return "beyond the calendar"


def _value(value: pa.Scalar) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return _bytes_within(value)
    except (OverflowError, ValueError):
        return "beyond the calendar"


def _bytes_within(value: pa.Scalar) -> Any:
    """A value with a text somewhere in it whose bytes are not UTF-8."""
    if isinstance(value, pa.DictionaryScalar):
        return _value(value.value)
    if isinstance(value, pa.MapScalar):
        return [(_value(pair["key"]), _value(pair["value"])) for pair in value.values]
    if isinstance(value, pa.StructScalar):
        return {name: _value(value[name]) for name in value}
    if isinstance(value, pa.ListScalar | pa.LargeListScalar | pa.FixedSizeListScalar):
        return [_value(item) for item in value.values]
    return value.as_buffer().to_pybytes()
