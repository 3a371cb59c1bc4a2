"""PostgreSQL's binary COPY format, for rows that numpy can lay out as one block of bytes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
"""Signature, flags (none) and length of the extension (none)."""
TRAILER = b"\xff\xff"
_BLOCK_ROWS = 1_000
"""Rows encoded at a time: 1.6 MB at 384 dimensions, which stays in the processor's cache."""


def vector_rows(
    retriever: int,
    ids: NDArray[np.int64],
    vectors: NDArray[np.float32],
    places: NDArray[np.intp],
) -> Iterator[bytes]:
    """Rows (retriever_version int4, guideline_id int8, embedding vector) as COPY wants them.

    A row is its number of fields, then for each field its length in bytes and its value, all
    big-endian; a vector's value is its dimensions, an unused number and its float4 elements.

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
