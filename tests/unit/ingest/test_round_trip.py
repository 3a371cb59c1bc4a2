"""Hostile files in every format: inputs and rejects add up to the records, and nothing stops."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guidealign.errors import BadInputError
from guidealign.ingest import file_source
from guidealign.ingest._sources import open_source
from tests.unit.ingest.reading import WHOLE, read, write

# 20 files of 50 records each: 1,000 in every format.
_THOUSAND = settings(
    max_examples=20, deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)  # fmt: skip
_N = 50
_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.sampled_from(["9" * 5_000, "NaN", '"', "\\", "\0", "\u2028", "\U0001fae8", "1712011530123"]),
)  # fmt: skip
_json = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["text", "messages", "role", "content", "mapping", "body", "parent", "\0"]),
        inner, max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip
_lines = st.one_of(
    st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b" ").replace(b"\r", b" ")),
    _json.map(lambda value: json.dumps(value).encode()),
    _json.map(lambda value: json.dumps({"text": value}).encode()),
    _json.map(lambda value: json.dumps({"messages": value}).encode()),
    st.integers(1, 3_000).map(lambda n: b'{"text": ' + b"[" * n),
)
_HEAD = b'{"text": "\xc3\xa9 in front"}'
"""Says what the file is, as a person's first record does; a file of noise alone is refused."""


def _assert_every_line_is_accounted_for(path: Path, before: int) -> None:
    """Records follow each other line by line; `before`: lines of the header."""
    source = open_source(file_source(path), None, settings=WHOLE, engine=None)
    line = before
    for record in source.records():
        # Several turns of a chat come from one line.
        assert record.line == (line if (record.turn or 0) > 1 else line + 1)
        line = record.after[1]
    assert line == path.read_bytes().count(b"\n")


@_THOUSAND
@given(lines=st.lists(_lines, min_size=_N, max_size=_N))
def test_json_lines(tmp_path: Path, lines: list[bytes]) -> None:
    path = write(tmp_path, "in.jsonl", b"\n".join([_HEAD, *lines, b""]))
    _assert_every_line_is_accounted_for(path, before=0)


@_THOUSAND
@given(cells=st.lists(st.text(max_size=30), min_size=_N, max_size=_N))
def test_csv_as_it_is_written(tmp_path: Path, cells: list[str]) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(
        [("id", "text"), ("0", "in front"), *((str(n), cell) for n, cell in enumerate(cells))]
    )
    path = write(tmp_path, "in.csv", out.getvalue().encode("utf-8", "surrogatepass"))
    found = read(path, id_field="id")
    assert len(found.inputs) + len(found.rejects) == _N + 1


@_THOUSAND
@given(
    lines=st.lists(
        st.one_of(
            st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"").replace(b"\r", b"")),
            st.text('ab",;\\ ', max_size=20).map(str.encode),
        ),
        min_size=_N, max_size=_N,
    )
)  # fmt: skip
def test_csv_of_any_bytes(tmp_path: Path, lines: list[bytes]) -> None:
    content = b"\n".join(
        [b"id,text", b"0,\xc3\xa9 in front", *lines, b"last,How does it end?", b""]
    )
    path = write(tmp_path, "in.csv", content)
    found = read(path)
    assert found.inputs[0].text == "\xe9 in front"
    last = [item.line for item in found.inputs if item.text == "How does it end?"]
    assert last in ([], [_N + 3])
    _assert_every_line_is_accounted_for(path, before=1)


@_THOUSAND
@given(values=st.lists(_json, min_size=_N, max_size=_N))
def test_documents(tmp_path: Path, values: list[Any]) -> None:
    content = json.dumps([{"text": "in front"}, *values], indent=1)
    found = read(write(tmp_path, "in.json", content))
    numbers = {item.line for item in found.inputs} | {line for line, _ in found.rejects}
    assert numbers == set(range(1, _N + 2))


@_THOUSAND
@given(
    texts=st.lists(st.none() | st.binary(max_size=30), min_size=_N, max_size=_N),
    times=st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=_N, max_size=_N),
    unit=st.sampled_from(["s", "ms", "us", "ns"]),
)
def test_parquet(
    tmp_path: Path, texts: list[bytes | None], times: list[int | None], unit: str
) -> None:
    # Parquet has no seconds: they are written as milliseconds, of which there must be no more.
    scale = 1_000 if unit == "s" else 1
    numbers = [None if at is None else int(at / scale) // 2 for at in times]
    at = pa.array(numbers, pa.int64()).cast(pa.timestamp(unit))
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"text": texts, "at": at}), path, version="2.6")
    found = read(path, time_field="at")
    assert len(found.inputs) + len(found.rejects) == _N


@_THOUSAND
@given(raw=st.binary(max_size=2_000), suffix=st.sampled_from(["jsonl", "json", "csv", "parquet"]))
def test_any_file_at_all(tmp_path: Path, raw: bytes, suffix: str) -> None:
    path = write(tmp_path, f"in.{suffix}", raw or b"\n")
    try:
        found = read(path)
    except BadInputError:
        # One sentence for the file is the other way that this may end.
        return
    assert len(found.inputs) + len(found.rejects) <= len(raw) + 1
