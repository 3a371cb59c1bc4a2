"""Finding guidelines: by vector, by words, by both, and like a given one.

All of it is done by the functions of schema `library`, so that Python, the command line and
psql find the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine

from guidealign.db import guard_database
from guidealign.records import RetrievedGuideline

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_VECTOR = (
    "select id, title, text, category, score from library.search(%(query)b, %(retriever)s, %(k)s,"
    " %(library_version)s, %(categories)s, %(origins)s, %(languages)s, %(sources)s, %(states)s,"
    " %(distinct_at)s, %(exact)s)"
)
_VECTORS = (
    "select q.position, f.id, f.title, f.text, f.category, f.score"
    " from unnest(%(queries)b::vector[]) with ordinality q (vector, position), lateral"
    " library.search(q.vector, %(retriever)s, %(k)s, %(library_version)s, %(categories)s,"
    " %(origins)s, %(languages)s, %(sources)s, %(states)s, %(distinct_at)s, %(exact)s)"
    " with ordinality f order by q.position, f.ordinality"
)
_WORDS = (
    "select id, title, text, category, score from library.search_words("
    "%(words)s, %(k)s, %(categories)s, %(languages)s)"
)
_HYBRID = (
    "select id, title, text, category, score from library.search_hybrid("
    "%(words)s, %(query)b, %(retriever)s, %(k)s, %(categories)s, %(languages)s)"
)
_SIMILAR = "select id, title, text, category, score from library.similar(%(id)s, %(k)s)"


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What to look among, and how; None: no matter."""

    library_version: int | None = None
    """What this version serves; None: what is active now. What a person has retired is never
    among it."""
    categories: Sequence[str] | None = None
    origins: Sequence[str] | None = None
    languages: Sequence[str] | None = None
    sources: Sequence[str] | None = None
    states: Sequence[str] | None = None
    """In place of what is active or served by the library version."""
    distinct_at: float | None = None
    """No two results have a cosine of this or more with each other."""
    exact: bool = False
    """Compare with every vector, past any index."""

    def values(self) -> dict[str, Any]:
        """As parameters of SQL."""
        return {k: list(v) if isinstance(v, (list, tuple)) else v for k, v in vars(self).items()}


_DEFAULT = SearchOptions()


def search_vector(
    vector: NDArray[np.float32],
    *,
    connection: Connection,
    retriever_version: int,
    k: int,
    options: SearchOptions = _DEFAULT,
) -> list[RetrievedGuideline]:
    """The k guidelines nearest to a vector, on a connection that the caller holds.

    Args:
        vector: L2-normalised, (dimensions,), of the same retriever version.
        connection: to the guidealign database.
        retriever_version: whose vectors; -1 for the fixed encoder of curation.
        k: how many; fewer come back only when there are no more.
        options: filters, and how to search.
    """
    values = options.values() | {"query": vector, "retriever": retriever_version, "k": k}
    return _found(connection.exec_driver_sql(_VECTOR, values))


def search_vectors(
    vectors: NDArray[np.float32],
    *,
    engine: Engine,
    retriever_version: int,
    k: int,
    options: SearchOptions = _DEFAULT,
) -> list[list[RetrievedGuideline]]:
    """`search_vector` for many vectors (n, dimensions) in one round trip."""
    found: list[list[Any]] = [[] for _ in vectors]
    values = options.values() | {"queries": list(vectors), "retriever": retriever_version, "k": k}
    with guard_database(), engine.connect() as connection:
        for row in connection.exec_driver_sql(_VECTORS, values):
            found[row.position - 1].append(row)
    return [_found(rows) for rows in found]


def search_words(
    words: str, *, connection: Connection, k: int, options: SearchOptions = _DEFAULT
) -> list[RetrievedGuideline]:
    """Active guidelines by their words, best first: "quoted phrases", or, -without."""
    values = options.values() | {"words": words, "k": k}
    return _found(connection.exec_driver_sql(_WORDS, values))


def search_hybrid(
    words: str,
    vector: NDArray[np.float32],
    *,
    connection: Connection,
    retriever_version: int,
    k: int,
    options: SearchOptions = _DEFAULT,
) -> list[RetrievedGuideline]:
    """By words and by vector, the lists joined by reciprocal rank: sums of 1/(60 + rank)."""
    values = options.values() | {
        "words": words,
        "query": vector,
        "retriever": retriever_version,
        "k": k,
    }
    return _found(connection.exec_driver_sql(_HYBRID, values))


def similar_guidelines(
    guideline_id: int, *, connection: Connection, k: int
) -> list[RetrievedGuideline]:
    """Active guidelines nearest in meaning to a given one, by the fixed encoder of curation."""
    return _found(connection.exec_driver_sql(_SIMILAR, {"id": guideline_id, "k": k}))


def _found(rows: Iterable[Any]) -> list[RetrievedGuideline]:
    return [
        RetrievedGuideline(
            guideline_id=row.id,
            title=row.title,
            text=row.text,
            category=row.category,
            rank=rank,
            score=row.score,
        )
        for rank, row in enumerate(rows, start=1)
    ]
