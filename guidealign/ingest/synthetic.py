"""Synthetic inputs come from a model: in a batch of their own, without copies or near copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, text

from guidealign.ingest import store
from guidealign.ingest.model import CleanInput

NotStored = Literal["duplicate", "near_copy"]

_OPEN = text(
    "insert into core.ingest_batches (source, kind, uri, run_key)"
    " values (:source, 'model', :uri, :run_key) returning id"
)
_COUNT = text(
    "update core.ingest_batches set n_read = n_read + :read, n_new = n_new + :new,"
    " n_duplicate = n_duplicate + :duplicate, n_near_duplicate = n_near_duplicate + :near_copy,"
    " n_rejected = n_rejected + :rejected where id = :id"
)
_FINISH = text("update core.ingest_batches set finished_at = now() where id = :id")


@dataclass(frozen=True)
class SyntheticBatch:
    """A batch of synthetic inputs, open until it is finished."""

    id: int
    source: str


def open_synthetic_batch(
    connection: Connection, source: str, *, origin: str, run_key: str | None
) -> SyntheticBatch:
    """Starts a batch; `origin` stands where a file's path does for others."""
    values = {"source": source, "uri": origin, "run_key": run_key}
    return SyntheticBatch(connection.execute(_OPEN, values).scalar_one(), source)


def add_synthetic_input(
    connection: Connection, batch: SyntheticBatch, words: str, *, category: str, threshold: float
) -> int | NotStored:
    """Stores a text, unless it or a near copy of it is there.

    A near copy of what a user said is worth a row, for it says how often something is asked. One
    that a model made says nothing.

    Args:
        connection: in the caller's transaction.
        batch: what it belongs to.
        words: normalised text.
        category: that it was made for.
        threshold: least Jaccard similarity of character 5-grams of a near copy.

    Returns:
        The input's id, or why there is none.
    """
    item = CleanInput(0, words, None, None, category)
    with connection.begin_nested() as savepoint:
        new = store.insert_inputs(connection, [item], source=batch.source, batch_id=batch.id)
        if not new:
            return "duplicate"
        if store.mark_near_duplicates(connection, new, threshold=threshold):
            savepoint.rollback()
            return "near_copy"
    return new[0][0]


def count_synthetic_inputs(
    connection: Connection, batch: SyntheticBatch, outcomes: Sequence[int | str]
) -> None:
    """Adds to a batch's figures.

    Args:
        connection: in the transaction that stored the inputs.
        batch: whose figures.
        outcomes: an id for each input that was stored, a reason for each text that was not.
    """
    reasons = [outcome for outcome in outcomes if isinstance(outcome, str)]
    duplicate, near_copy = reasons.count("duplicate"), reasons.count("near_copy")
    counts = {
        "read": len(outcomes),
        "new": len(outcomes) - len(reasons),
        "duplicate": duplicate,
        "near_copy": near_copy,
        "rejected": len(reasons) - duplicate - near_copy,
    }
    connection.execute(_COUNT, {**counts, "id": batch.id})


def finish_synthetic_batch(connection: Connection, batch: SyntheticBatch) -> None:
    """Ends a batch."""
    connection.execute(_FINISH, {"id": batch.id})
