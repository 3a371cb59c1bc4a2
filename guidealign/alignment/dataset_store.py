"""SQL of aligned data sets as they are made: rows, choices, and what they are worth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, text

from guidealign.alignment.choice import Choice
from guidealign.alignment.comparison import Figures
from guidealign.alignment.model import AnswerKey, StoredAnswer

_LOCK = text("select pg_advisory_xact_lock(hashtext('guidealign.aligned_datasets'))")
_NEWEST_IF_SAME = text(
    "select case when digest = :digest and judge = :judge and held is not distinct from :held"
    " then id end from core.aligned_datasets order by id desc limit 1"
)
_INSERT_DATASET = text(
    "insert into core.aligned_datasets (digest, n, model, prompt_version, library_version,"
    " retriever_version, mlflow_run_id, judge, held, figures) values (:digest, :n, :model,"
    " :prompt_version, :library_version, :retriever_version, :mlflow_run_id, :judge, :held,"
    " cast(:figures as jsonb)) returning id"
)
_INSERT_ITEM = text(
    "insert into core.aligned_dataset_items (dataset_id, response_id, plain_id, position)"
    " values (:dataset_id, :response_id, :plain_id, :position)"
)
_INSERT_CHOICE = text(
    "insert into core.aligned_choices (dataset_id, input_id, way, reason, flips, candidates)"
    " values (:dataset_id, :input_id, :way, :reason, :flips, cast(:candidates as jsonb))"
)


@dataclass(frozen=True, kw_only=True)
class NewDataset:
    """A data set that is to be stored."""

    key: AnswerKey
    digest: str
    """Of its content alone."""
    judge: str
    held: str | None
    figures: Figures
    rows: Sequence[StoredAnswer]
    """In the order of the data set."""
    choices: Sequence[Choice]
    """Of all inputs."""


def newest_if_same(connection: Connection, made: NewDataset) -> int | None:
    """The newest data set, where it has this content, judge and hold; an older one is past."""
    values = {"digest": made.digest, "judge": made.judge, "held": made.held}
    found: int | None = connection.execute(_NEWEST_IF_SAME, values).scalar_one_or_none()
    return found


def add_dataset(
    connection: Connection, made: NewDataset, *, mlflow_run_id: str
) -> tuple[int, bool]:
    """Stores a data set with its rows and choices, unless the newest is the same.

    Returns:
        Its id, and whether it is new.
    """
    connection.execute(_LOCK)
    found = newest_if_same(connection, made)
    if found is not None:
        return found, False
    values = {
        **asdict(made.key),
        "digest": made.digest,
        "n": len(made.rows),
        "judge": made.judge,
        "held": made.held,
        "figures": json.dumps(made.figures),
        "mlflow_run_id": mlflow_run_id,
    }
    new = int(connection.execute(_INSERT_DATASET, values).scalar_one())
    items = [
        {
            "dataset_id": new,
            "response_id": None if row.way == "plain" else row.response_id,
            "plain_id": row.response_id if row.way == "plain" else None,
            "position": position,
        }
        for position, row in enumerate(made.rows)
    ]
    choices = [
        {
            "dataset_id": new,
            "input_id": one.asked.input_id,
            "way": one.taken.answer.way if one.taken else None,
            "reason": one.reason,
            "flips": one.flips,
            "candidates": json.dumps([c.as_dict(one.asked) for c in one.candidates]),
        }
        for one in made.choices
    ]
    for statement, rows in ((_INSERT_ITEM, items), (_INSERT_CHOICE, choices)):
        if rows:
            connection.execute(statement, rows)
    return new, True
