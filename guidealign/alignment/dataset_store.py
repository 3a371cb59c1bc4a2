"""SQL of aligned data sets as they are made: rows, choices, and what they are worth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, text

from guidealign.alignment.choice import Choice
from guidealign.alignment.comparison import Figures
from guidealign.alignment.model import AnswerKey, StoredAnswer

_DATASET_ID = text("select id from core.aligned_datasets where digest = :digest")
_INSERT_DATASET = text(
    "insert into core.aligned_datasets (digest, n, model, prompt_version, library_version,"
    " retriever_version, mlflow_run_id, judge, held, figures) values (:digest, :n, :model,"
    " :prompt_version, :library_version, :retriever_version, :mlflow_run_id, :judge, :held,"
    " cast(:figures as jsonb)) on conflict (digest) do nothing returning id"
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
    judge: str
    held: str | None
    figures: Figures
    rows: Sequence[StoredAnswer]
    """In the order of the data set."""
    choices: Sequence[Choice]
    """Of all inputs."""


def dataset_id(connection: Connection, digest: str) -> int | None:
    """The data set of this digest, if there is one."""
    found = connection.execute(_DATASET_ID, {"digest": digest}).scalar_one_or_none()
    return None if found is None else int(found)


def add_dataset(connection: Connection, made: NewDataset, *, mlflow_run_id: str) -> int | None:
    """Stores a data set with its rows and choices; None when it is there already."""
    values = {
        **asdict(made.key),
        "digest": made.digest,
        "n": len(made.rows),
        "judge": made.judge,
        "held": made.held,
        "figures": json.dumps(made.figures),
        "mlflow_run_id": mlflow_run_id,
    }
    new: int | None = connection.execute(_INSERT_DATASET, values).scalar_one_or_none()
    if new is None:
        return None
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
    return new
