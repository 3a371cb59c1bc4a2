"""SQL of ingest: batches, watermarks, inputs, near copies, rejects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, text

from guidealign.errors import ServiceUnavailableError
from guidealign.ingest._near import band_keys, jaccard, shingles
from guidealign.ingest._text import redact_text, text_hash
from guidealign.ingest.model import BadRecord, CleanInput, SourceSpec

_INSERT_INPUT = text(
    "insert into core.inputs (text_hash, text, redacted_text, source, source_id, batch_id,"
    " occurred_at) values (:text_hash, :text, :redacted_text, :source, :source_id, :batch_id,"
    " :occurred_at) on conflict (text_hash) do nothing returning id"
)
_INSERT_REJECT = text(
    "insert into core.rejects (stage, reason, detail, source, file, line, batch_id, payload)"
    " values ('ingest', :reason, :detail, :source, :file, :line, :batch_id, :payload)"
    " on conflict do nothing"
)
_CANDIDATES = text(
    "select distinct i.id, i.text from core.input_bands b join core.inputs i on i.id = b.input_id"
    " join unnest(cast(:bands as smallint[]), cast(:keys as bigint[])) as q(band, key)"
    " on b.band = q.band and b.key = q.key where i.id <> :id order by i.id"
)
_INSERT_BANDS = text(
    "insert into core.input_bands (band, key, input_id)"
    " select q.band, q.key, :id from unnest(cast(:bands as smallint[]), cast(:keys as bigint[]))"
    " as q(band, key) on conflict do nothing"
)


@contextmanager
def source_lock(engine: Engine, source: str) -> Iterator[None]:
    """Holds a source for one reader; the server lets go of it when the reader dies.

    Raises:
        ServiceUnavailableError: somebody else is reading it.
    """
    with engine.connect() as connection:
        key = {"key": f"guidealign.ingest:{source}"}
        got = connection.execute(
            text("select pg_try_advisory_lock(hashtextextended(:key, 0))"), key
        ).scalar_one()
        connection.commit()
        if not got:
            raise ServiceUnavailableError(f"source {source} is being read by another run")
        try:
            yield
        finally:
            connection.execute(text("select pg_advisory_unlock(hashtextextended(:key, 0))"), key)
            connection.commit()


def read_watermark(engine: Engine, source: str) -> dict[str, Any] | None:
    """How far a source has been read; None: never."""
    with engine.connect() as connection:
        return connection.execute(
            text("select value from core.ingest_watermarks where source = :source"),
            {"source": source},
        ).scalar_one_or_none()


def write_watermark(connection: Connection, source: str, value: dict[str, Any]) -> None:
    """Stores how far a source has been read, with the rows it speaks of."""
    connection.execute(
        text(
            "insert into core.ingest_watermarks (source, value) values (:source, :value)"
            " on conflict (source) do update set value = excluded.value, updated_at = now()"
        ),
        {"source": source, "value": json.dumps(value)},
    )


def open_batch(
    connection: Connection, spec: SourceSpec, *, digest: str | None, run_key: str | None
) -> int:
    """Starts a batch; its figures grow with each chunk."""
    uri = spec.uri if spec.kind != "sql" else f"query of {spec.name}"
    values = {"source": spec.name, "kind": spec.kind, "uri": uri}
    return connection.execute(
        text(
            "insert into core.ingest_batches (source, kind, uri, digest, run_key)"
            " values (:source, :kind, :uri, :digest, :run_key) returning id"
        ),
        {**values, "digest": digest, "run_key": run_key},
    ).scalar_one()


def add_to_batch(
    connection: Connection, batch_id: int, counts: dict[str, int], watermark: dict[str, Any]
) -> None:
    """Adds a chunk's figures to its batch."""
    connection.execute(
        text(
            "update core.ingest_batches set n_read = n_read + :read, n_new = n_new + :new,"
            " n_duplicate = n_duplicate + :duplicate, n_rejected = n_rejected + :rejected,"
            " n_near_duplicate = n_near_duplicate + :near_duplicate,"
            " watermark = :watermark, finished_at = now() where id = :id"
        ),
        {**counts, "watermark": json.dumps(watermark), "id": batch_id},
    )


def insert_inputs(
    connection: Connection, inputs: Sequence[CleanInput], *, source: str, batch_id: int
) -> list[tuple[int, str]]:
    """Stores texts that are not there yet; returns (id, text) of the new ones."""
    new = []
    for item in inputs:
        values = {
            "text_hash": text_hash(item.text),
            "text": item.text,
            "redacted_text": redact_text(item.text),
            "source": source,
            "source_id": item.source_id,
            "batch_id": batch_id,
            "occurred_at": item.occurred_at,
        }
        row_id = connection.execute(_INSERT_INPUT, values).scalar_one_or_none()
        if row_id is not None:
            new.append((row_id, item.text))
    return new


def mark_near_duplicates(
    connection: Connection, inputs: Sequence[tuple[int, str]], *, threshold: float
) -> int:
    """Marks inputs that are near copies of earlier ones and indexes the others.

    Args:
        connection: in the transaction that stored the inputs.
        inputs: (id, text) in the order of their ids.
        threshold: least Jaccard similarity of character 5-grams.

    Returns:
        How many were marked.
    """
    marked = 0
    for input_id, words in inputs:
        parts = shingles(words)
        keys = band_keys(parts)
        bands = {"bands": list(range(len(keys))), "keys": keys, "id": input_id}
        near = [
            (jaccard(parts, shingles(row.text)), row.id)
            for row in connection.execute(_CANDIDATES, bands)
        ]
        score, original = max(near, key=lambda pair: (pair[0], -pair[1]), default=(0.0, None))
        if original is not None and score >= threshold:
            connection.execute(
                text(
                    "update core.inputs set near_duplicate_of = :original,"
                    " near_duplicate_score = :score where id = :id"
                ),
                {"original": original, "score": score, "id": input_id},
            )
            marked += 1
        else:
            connection.execute(_INSERT_BANDS, bands)
    return marked


def insert_rejects(
    connection: Connection, rejects: Sequence[BadRecord], *, spec: SourceSpec, batch_id: int
) -> None:
    """Stores what could not be taken in, with its place and reason."""
    if not rejects:
        return
    place = {
        "source": spec.name,
        "file": None if spec.kind == "sql" else spec.uri,
        "batch_id": batch_id,
    }
    connection.execute(
        _INSERT_REJECT,
        [
            {
                **place,
                "line": bad.line,
                "reason": bad.reason,
                "detail": bad.detail,
                # A NUL cannot be stored in PostgreSQL's text.
                "payload": bad.payload.replace("\0", "") if bad.payload else None,
            }
            for bad in rejects
        ],
    )
