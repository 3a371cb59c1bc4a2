"""Libraries with hand-made vectors, and what must be true of any library at any time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, text

from guidealign.authoring import guideline_hash
from guidealign.library import CURATION_VERSION, add_vectors

_GUIDELINE = text(
    "insert into core.guidelines (text_hash, title, text, category, origin, author_model, checked)"
    " values (:h, :t, :b, 'Insult', 'model', 'small', true) returning id"
)
_INPUT = text(
    "insert into core.inputs (text_hash, text, redacted_text, source)"
    " values (:w, :w, :w, 'test') returning id"
)
_PAIR = text("insert into core.pairs (input_id, guideline_id, origin) values (:i, :g, 'model')")

_FAULTS = {
    "a version's digest is not that of what it serves": (
        "select version from core.library_versions where digest <> library.digest(version)"
    ),
    "versions have a gap": (
        "select count(*) from core.library_versions having count(*) <> coalesce(max(version), 0)"
    ),
    "a version does not hold as many guidelines as it says": (
        "select version from core.library_versions v"
        " where n_active <> (select count(*) from library.as_of(v.version))"
    ),
    "the newest version is not what is active": (
        "select id from core.guidelines g"
        " where (g.state = 'active') <>"
        " (g.served @> (select coalesce(max(version), 0) from core.library_versions))"
    ),
    "a guideline names a version that is not there": (
        "select id from core.guidelines g, unnest(g.served) s where lower(s) >"
        " (select coalesce(max(version), 0) from core.library_versions)"
    ),
    "a merge ends nowhere, or at what waits": (
        "with recursive chain(id, at, steps) as ("
        " select id, merged_into, 1 from core.guidelines where state = 'merged'"
        " union all select c.id, g.merged_into, steps + 1 from chain c"
        " join core.guidelines g on g.id = c.at where g.merged_into is not null and steps < 1000)"
        " select id from core.guidelines m where m.state = 'merged' and not exists"
        " (select from chain c join core.guidelines g on g.id = c.at"
        "   where c.id = m.id and g.state in ('active', 'retired'))"
    ),
    "history does not end in the state that a guideline is in": (
        "select g.id from core.guidelines g where g.state <> (select h.to_state"
        " from library.history h where h.guideline_id = g.id order by h.created_at desc limit 1)"
    ),
    "an index is in use that is invalid or missing": (
        "select v.retriever_version from core.vector_indexes v where not exists ("
        " select from pg_index i join pg_class c on c.oid = i.indexrelid"
        "  where i.indisvalid and i.indisready and c.relname = 'ix_embeddings_hnsw_' ||"
        "   case when v.retriever_version < 0 then 'curation' else v.retriever_version::text end)"
        " or to_regprocedure(format('core.%I(vector,int,int,text[],text[],text[],text[],text[])',"
        "     core.nearest_name(v.retriever_version))) is null"
    ),
}


def add_guideline(engine: Engine, title: str, body: str, vector: NDArray[np.float32] | None) -> int:
    """A candidate with an input of its own and, where given, its vector of curation."""
    with engine.begin() as connection:
        guideline_id = int(
            connection.execute(
                _GUIDELINE, {"h": guideline_hash(title, body), "t": title, "b": body}
            ).scalar_one()
        )
        input_id = connection.execute(_INPUT, {"w": f"input of {title}: {body}"}).scalar_one()
        connection.execute(_PAIR, {"i": input_id, "g": guideline_id})
        if vector is not None:
            add_vectors(connection, CURATION_VERSION, [guideline_id], vector[None, :])
    return guideline_id


def unit_vectors(n: int, dimensions: int, seed: int) -> NDArray[np.float32]:
    """Random directions, (n, dimensions)."""
    raw = np.random.default_rng(seed).standard_normal((n, dimensions)).astype(np.float32)
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def faults(connection: Connection) -> dict[str, Sequence[Any]]:
    """What is wrong with a library, with the ids or versions; empty: it is consistent."""
    found = {what: connection.execute(text(query)).all() for what, query in _FAULTS.items()}
    return {what: rows for what, rows in found.items() if rows}


def as_of(connection: Connection, version: int) -> list[int]:
    """Ids of what a version serves."""
    query = text("select id from library.as_of(cast(:v as int)) order by id")
    return list(connection.execute(query, {"v": version}).scalars())
