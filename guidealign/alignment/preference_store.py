"""SQL of preferences: unguided answers, what was found of them, and sets of pairs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, text

from guidealign.alignment._separate import Answers, Separation
from guidealign.alignment.model import PreferenceData, PreferencePair

_UNANSWERED = text(
    "select r.input_id, i.text as prompt from core.aligned_dataset_items d"
    " join core.aligned_responses r on r.id = d.response_id"
    " join core.inputs i on i.id = r.input_id"
    " where d.dataset_id = :dataset_id and not exists (select from core.plain_responses p"
    " where p.input_id = r.input_id and p.model = :model and p.prompt_version = :prompt_version)"
    " order by d.position"
)
# What nobody labelled and nothing assessed counts as unsafe.
_UNJUDGED = text(
    """
    with assessed as (
        select distinct on (input_id) input_id, unsafe from core.assessments
         order by input_id, id desc
    )
    select r.input_id, i.text as prompt, not coalesce(i.known_unsafe, a.unsafe, true) as safe,
           r.id as guided_id, r.response as guided, p.id as plain_id, p.response as plain,
           p.filtered_reason as plain_filtered
      from core.aligned_dataset_items d
      join core.aligned_responses r on r.id = d.response_id
      join core.inputs i on i.id = r.input_id
      join core.plain_responses p on p.input_id = r.input_id and p.model = :model
           and p.prompt_version = :prompt_version
      left join assessed a on a.input_id = i.id
     where d.dataset_id = :dataset_id and not exists (
           select from core.preference_judgements j
            where j.guided_id = r.id and j.plain_id = p.id and j.judge = :judge)
     order by d.position
    """
)
_INSERT_JUDGEMENT = text(
    "insert into core.preference_judgements (guided_id, plain_id, judge, guided_risk, plain_risk,"
    " verdict) values (:guided_id, :plain_id, :judge, :guided_risk, :plain_risk, :verdict)"
    " on conflict (guided_id, plain_id, judge) do nothing"
)
_JUDGED = text(
    "select j.id, j.verdict, i.text_hash, r.input_id, i.text as prompt, r.response as chosen,"
    " p.response as rejected from core.aligned_dataset_items d"
    " join core.aligned_responses r on r.id = d.response_id"
    " join core.inputs i on i.id = r.input_id"
    " join core.preference_judgements j on j.guided_id = r.id and j.judge = :judge"
    " join core.plain_responses p on p.id = j.plain_id and p.model = :model"
    " and p.prompt_version = :prompt_version"
    " where d.dataset_id = :dataset_id order by d.position"
)
_SET_ID = text(
    "select id from core.preference_sets where dataset_id = :dataset_id and digest = :digest"
)
_INSERT_SET = text(
    "insert into core.preference_sets (digest, dataset_id, judge, n, dropped, mlflow_run_id)"
    " values (:digest, :dataset_id, :judge, :n, cast(:dropped as jsonb), :mlflow_run_id)"
    " on conflict (dataset_id, digest) do nothing returning id"
)
_INSERT_ITEM = text(
    "insert into core.preference_set_items (set_id, judgement_id, position)"
    " values (:set_id, :judgement_id, :position)"
)
_NEWEST_SET = text(
    "select id, digest, dataset_id from core.preference_sets where dataset_id = :dataset_id"
    " order by id desc limit 1"
)
_SELECT_PAIRS = text(
    "select r.input_id, i.text as prompt, r.response as chosen, p.response as rejected"
    " from core.preference_set_items s join core.preference_judgements j on j.id = s.judgement_id"
    " join core.aligned_responses r on r.id = j.guided_id"
    " join core.plain_responses p on p.id = j.plain_id join core.inputs i on i.id = r.input_id"
    " where s.set_id = :set_id order by s.position"
)


@dataclass(frozen=True, kw_only=True)
class ComparisonKey:
    """What a comparison is of: a data set, and how the unguided answers were asked for."""

    dataset_id: int
    model: str
    prompt_version: str


@dataclass(frozen=True, kw_only=True)
class JudgedPair:
    """A stored comparison."""

    judgement_id: int
    verdict: str
    text_hash: str
    pair: PreferencePair


def unanswered(connection: Connection, key: ComparisonKey) -> list[tuple[int, str]]:
    """Id and text of the data set's inputs that have no unguided answer."""
    return [(row.input_id, row.prompt) for row in connection.execute(_UNANSWERED, asdict(key))]


def unjudged(connection: Connection, key: ComparisonKey, judge: str) -> list[Answers]:
    """The pairs that this judge has said nothing of."""
    rows = connection.execute(_UNJUDGED, {**asdict(key), "judge": judge}).mappings()
    return [Answers(**row) for row in rows]


def add_judgements(connection: Connection, found: Sequence[Separation], judge: str) -> None:
    """Stores verdicts, once a pair and judge."""
    rows = [
        {
            "guided_id": one.answers.guided_id,
            "plain_id": one.answers.plain_id,
            "judge": judge,
            "guided_risk": one.guided_risk,
            "plain_risk": one.plain_risk,
            "verdict": one.verdict,
        }
        for one in found
    ]
    if rows:
        connection.execute(_INSERT_JUDGEMENT, rows)


def judged(connection: Connection, key: ComparisonKey, judge: str) -> list[JudgedPair]:
    """All comparisons of the data set by this judge, in its order."""
    rows = connection.execute(_JUDGED, {**asdict(key), "judge": judge})
    return [
        JudgedPair(
            judgement_id=row.id,
            verdict=row.verdict,
            text_hash=row.text_hash,
            pair=PreferencePair(
                input_id=row.input_id, prompt=row.prompt, chosen=row.chosen, rejected=row.rejected
            ),
        )
        for row in rows
    ]


def set_id(connection: Connection, dataset_id: int, digest: str) -> int | None:
    """The set with this content, if there is one."""
    values = {"dataset_id": dataset_id, "digest": digest}
    found: int | None = connection.execute(_SET_ID, values).scalar_one_or_none()
    return found


def add_set(
    connection: Connection, values: dict[str, Any], judgement_ids: Sequence[int]
) -> int | None:
    """Stores a set with its items; None when it is there already."""
    row = {**values, "n": len(judgement_ids), "dropped": json.dumps(values["dropped"])}
    new: int | None = connection.execute(_INSERT_SET, row).scalar_one_or_none()
    if new is not None:
        items = [
            {"set_id": new, "judgement_id": judgement_id, "position": position}
            for position, judgement_id in enumerate(judgement_ids)
        ]
        connection.execute(_INSERT_ITEM, items)
    return new


def load_set(connection: Connection, dataset_id: int) -> PreferenceData | None:
    """The newest set of pairs of a data set; None: there is none."""
    row = connection.execute(_NEWEST_SET, {"dataset_id": dataset_id}).one_or_none()
    if row is None:
        return None
    pairs = connection.execute(_SELECT_PAIRS, {"set_id": row.id}).mappings()
    return PreferenceData(
        set_id=row.id,
        digest=row.digest,
        dataset_id=row.dataset_id,
        pairs=tuple(PreferencePair(**pair) for pair in pairs),
    )
