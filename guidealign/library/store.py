"""SQL of the library: versions, guidelines, pairs, merging."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, text

from guidealign.library.model import GuidelineRow, PairRow

_ACTIVE_AT = "g.added_in <= :version and (g.retired_in is null or g.retired_in > :version)"
_GUIDELINES_AT = text(
    f"select g.id, g.title, g.text, g.category from core.guidelines g"  # noqa: S608 - constant
    f" where {_ACTIVE_AT} order by g.id"
)
# A merged guideline's inputs belong to the canonical one, also over several merges.
_PAIRS_AT = text(
    f"""
    with recursive canonical(id, target) as (
      select g.id, g.id from core.guidelines g where {_ACTIVE_AT}
      union
      select m.id, c.target from core.guidelines m join canonical c on m.merged_into = c.id
    )
    select distinct i.id as input_id, i.text as input_text, c.target as guideline_id, g.category,
           coalesce(i.known_unsafe, a.unsafe, false) as unsafe, i.source,
           coalesce(i.near_duplicate_of, i.id) as cluster
      from core.pairs p
      join canonical c on c.id = p.guideline_id
      join core.guidelines g on g.id = c.target
      join core.inputs i on i.id = p.input_id
      left join lateral (select unsafe from core.assessments where input_id = i.id
                          order by id desc limit 1) a on true
     order by input_id, guideline_id
    """  # noqa: S608 - constant
)
_NEAREST = text(
    """
    select o.id, o.text, 1 - (g.curation_embedding <=> o.curation_embedding) as score
      from core.guidelines g, core.guidelines o
     where g.id = :id and o.id <> g.id and o.state = 'active' and o.curation_embedding is not null
     order by g.curation_embedding <=> o.curation_embedding limit :limit
    """
)


@contextmanager
def publication_lock(connection: Connection) -> Iterator[None]:
    """One publication at a time; held to the end of the transaction."""
    connection.execute(text("select pg_advisory_xact_lock(hashtext('guidealign.publish'))"))
    yield


def latest_version(connection: Connection) -> int:
    """Number of the newest version; 0 when there is none."""
    query = text("select coalesce(max(version), 0) from core.library_versions")
    return int(connection.execute(query).scalar_one())


def guidelines_at(engine: Engine, version: int) -> list[GuidelineRow]:
    """The guidelines that a version serves."""
    with engine.connect() as connection:
        rows = connection.execute(_GUIDELINES_AT, {"version": version})
        return [GuidelineRow(*row) for row in rows]


def pairs_at(engine: Engine, version: int) -> list[PairRow]:
    """Inputs with the guidelines of a version that were written for them."""
    with engine.connect() as connection:
        return [PairRow(*row) for row in connection.execute(_PAIRS_AT, {"version": version})]


def active_hashes(connection: Connection) -> list[str]:
    """Text hashes of what is active now."""
    query = text("select text_hash from core.guidelines where state = 'active'")
    return list(connection.execute(query).scalars())


def candidates(connection: Connection) -> list[Any]:
    """Candidates in order: id, title, text, author_model, origin."""
    query = text(
        "select id, title, text, author_model, origin from core.guidelines"
        " where state = 'candidate' order by id for update"
    )
    return list(connection.execute(query))


def without_embedding(connection: Connection) -> list[Any]:
    """Candidates and active guidelines that curation has not embedded yet: id, title, text."""
    query = text(
        "select id, title, text from core.guidelines where curation_embedding is null"
        " and state in ('candidate', 'active') order by id"
    )
    return list(connection.execute(query))


def set_embeddings(connection: Connection, rows: Sequence[tuple[int, Any]]) -> None:
    """Stores curation embeddings."""
    if rows:
        connection.execute(
            text("update core.guidelines set curation_embedding = :vector where id = :id"),
            [{"id": guideline_id, "vector": vector} for guideline_id, vector in rows],
        )


def nearest_active(connection: Connection, guideline_id: int, limit: int = 5) -> list[Any]:
    """The active guidelines nearest in meaning: id, text, score (cosine)."""
    return list(connection.execute(_NEAREST, {"id": guideline_id, "limit": limit}))


def activate(connection: Connection, guideline_id: int, version: int) -> None:
    """Candidate to active, served from a version on."""
    connection.execute(
        text("update core.guidelines set state = 'active', added_in = :version where id = :id"),
        {"id": guideline_id, "version": version},
    )


def merge(connection: Connection, guideline_id: int, canonical: int, score: float) -> None:
    """Candidate to merged: its inputs count for the canonical one from now on."""
    values = {"id": guideline_id, "canonical": canonical, "score": score}
    connection.execute(
        text(
            "update core.guidelines set state = 'merged', merged_into = :canonical,"
            " merge_score = :score, state_reason = 'says the same as ' || :canonical"
            " where id = :id"
        ),
        values,
    )


def hold(connection: Connection, guideline_id: int, reason: str) -> None:
    """Leaves a candidate where it is, with the reason."""
    connection.execute(
        text("update core.guidelines set state_reason = :reason where id = :id"),
        {"id": guideline_id, "reason": reason},
    )


def retire(connection: Connection, guideline_id: int, version: int, reason: str) -> int:
    """Active to retired; returns 0 when it was not active."""
    return connection.execute(
        text(
            "update core.guidelines set state = 'retired', retired_in = :version,"
            " state_reason = :reason where id = :id and state = 'active'"
        ),
        {"id": guideline_id, "version": version, "reason": reason},
    ).rowcount


def add_version(connection: Connection, values: dict[str, Any]) -> None:
    """Appends a version."""
    connection.execute(
        text(
            "insert into core.library_versions (version, digest, n_active, n_added, n_retired,"
            " note, published_by) values (:version, :digest, :n_active, :n_added, :n_retired,"
            " :note, :published_by)"
        ),
        values,
    )
