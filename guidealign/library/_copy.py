"""PostgreSQL's binary COPY format, made column by column.

A row is its number of fields (int2), then for each field its length in bytes (int4, -1: null)
and its value, all big-endian.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
"""Signature, flags (none) and length of the extension (none)."""
TRAILER = b"\xff\xff"
_BLOCK_ROWS = 100
"""Rows encoded at a time: 160 kB at 384 dimensions; the socket takes them, the server works on."""


def text_rows(ids: NDArray[np.int64], columns: Sequence[Sequence[str | None] | str]) -> memoryview:
    """Rows of an int8 and texts, to be written between `HEADER` and `TRAILER`.

    Args:
        ids: first field, (n,).
        columns: of the further fields, (n,) each; a text alone is the same in all rows.
    """
    n_fields = np.full(len(ids), 1 + len(columns))
    parts = [_numbers(n_fields, ">i2"), _numbers(np.full(len(ids), 8), ">i4"), _numbers(ids, ">i8")]
    for column in columns:
        if isinstance(column, str):
            value = column.encode()
            parts.append(pa.scalar(len(value).to_bytes(4, "big") + value))
        else:
            values = pa.array(column, pa.string()).cast(pa.binary())
            lengths = pc.fill_null(pc.binary_length(values), -1)
            parts += [_numbers(lengths.to_numpy(), ">i4"), pc.fill_null(values, b"")]
    rows = pc.binary_join_element_wise(*parts, b"")
    _, offsets, data = rows.buffers()
    return memoryview(data)[: int(np.frombuffer(offsets, np.int32)[len(ids)])]


def _numbers(values: NDArray[np.int64], form: str) -> pa.Array:
    """Each as its big-endian bytes."""
    width = np.dtype(form).itemsize
    data = pa.py_buffer(values.astype(form).tobytes())
    fixed = pa.Array.from_buffers(pa.binary(width), len(values), [None, data])
    return fixed.cast(pa.binary())


def vector_rows(
    retriever: int,
    ids: NDArray[np.int64],
    vectors: NDArray[np.float32],
    places: NDArray[np.intp],
) -> Iterator[bytes]:
    """Rows (retriever_version int4, guideline_id int8, embedding vector) as COPY wants them.

    A vector's value is its dimensions (int2), an unused int2 and its elements (float4).

    Args:
        retriever: whose vectors.
        ids: of the guidelines, (n,).
        vectors: finite, (any number, dimensions).
        places: which of the vectors belong to the ids, (n,).

    Yields:
        Blocks of whole rows, to be written between `HEADER` and `TRAILER`.
    """
    dimensions = vectors.shape[1]
    layout = np.dtype(
        [
            ("n_fields", ">i2"),
            ("retriever_bytes", ">i4"),
            ("retriever", ">i4"),
            ("id_bytes", ">i4"),
            ("id", ">i8"),
            ("vector_bytes", ">i4"),
            ("dimensions", ">i2"),
            ("unused", ">i2"),
            ("elements", ">f4", (dimensions,)),
        ]
    )
    rows = np.zeros(min(_BLOCK_ROWS, len(ids)), dtype=layout)
    rows["n_fields"], rows["dimensions"], rows["retriever"] = 3, dimensions, retriever
    rows["retriever_bytes"], rows["id_bytes"] = 4, 8
    rows["vector_bytes"] = 4 + 4 * dimensions
    for start in range(0, len(ids), _BLOCK_ROWS):
        part = rows[: len(ids) - start]
        part["id"] = ids[start : start + _BLOCK_ROWS]
        part["elements"] = vectors[places[start : start + _BLOCK_ROWS]]
        yield part.tobytes()
