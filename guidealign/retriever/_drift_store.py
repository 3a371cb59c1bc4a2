"""What a drift report says, and its SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, text

# What users said: neither the starter's inputs nor those that a model made of others.
_LIVE = (
    " from core.inputs i left join core.ingest_batches b on b.id = i.batch_id"
    " where i.source <> 'starter' and b.kind is distinct from 'model'"
    " and coalesce(i.occurred_at, i.received_at) >= cast(:since as timestamp) at time zone 'UTC'"
    " and coalesce(i.occurred_at, i.received_at) < cast(:until as timestamp) at time zone 'UTC'"
)
_COUNT = text(f"select count(*) {_LIVE}")
# By the hash of the text: a sample, and the same one each time.
_SAMPLE = text(f"select i.id, i.text {_LIVE} order by i.text_hash limit :limit")
_TEXTS = text("select id, text from core.inputs where id = any(cast(:ids as bigint[]))")
_EARLIER = text(
    "select i.text from core.drift_clusters c join core.drift_reports r on r.id = c.report_id"
    " join core.inputs i on i.id = c.example_id where r.until <= :since"
    " order by r.until desc, cardinality(c.input_ids) desc limit :limit"
)
_FORGET = text(
    "delete from core.drift_reports where until = :until"
    " and retriever_version = :retriever_version and library_version = :library_version"
)
_FIGURES = (
    "since", "until", "retriever_version", "library_version", "n_inputs", "n_measured",
    "low_score", "median_score", "high_score", "good_score", "share_poor", "share_abstained",
    "distance", "p_value",
)  # fmt: skip
_SAVE = text(
    f"insert into core.drift_reports ({', '.join(_FIGURES)})"  # noqa: S608 - no value in it
    f" values ({', '.join(f':{name}' for name in _FIGURES)}) returning id"
)
_SAVE_CLUSTER = text(
    "insert into core.drift_clusters (report_id, example_id, input_ids, guideline_id, score,"
    " is_new) values (:report_id, :example_id, :input_ids, :guideline_id, :score, :is_new)"
)
_LATEST = text("select * from core.drift_reports order by until desc, id desc limit :limit")
_CLUSTERS = text(
    "select * from library.drift_clusters where report_id = any(cast(:ids as bigint[]))"
    " order by n_inputs desc, example_id"
)


@dataclass(frozen=True, kw_only=True)
class DriftCluster:
    """Inputs on one topic for which no guideline is near."""

    example_id: int
    input_ids: tuple[int, ...]
    guideline_id: int
    """The nearest to the example there is."""
    score: float
    is_new: bool
    """No earlier report has one like it."""
    example: str = ""
    """Personal data masked; empty until it was stored."""
    nearest_guideline: str = ""
    """Its title."""


@dataclass(frozen=True, kw_only=True)
class DriftReport:
    """What the retriever finds for the inputs of some days, against held-out ones.

    Scores are cosines of each input's best guideline; None: there was nothing to measure, or too
    few held-out inputs to compare with.
    """

    since: date
    until: date
    """The day behind the last."""
    retriever_version: int
    library_version: int
    n_inputs: int
    n_measured: int
    low_score: float | None = None
    """Tenth percentile."""
    median_score: float | None = None
    high_score: float | None = None
    """Ninetieth percentile."""
    good_score: float | None = None
    """What the best guideline reaches for nine of ten held-out inputs."""
    share_poor: float | None = None
    """Inputs whose best guideline is below that."""
    share_abstained: float | None = None
    """Inputs that get no guideline."""
    distance: float | None = None
    """Kolmogorov-Smirnov, of the best scores of these and of the held-out inputs."""
    p_value: float | None = None
    clusters: tuple[DriftCluster, ...] = ()
    n_preferred: int = 0
    """Inputs that authoring takes first now and did not before."""

    def priorities(self) -> dict[int, int]:
        """By input on a topic without a good guideline: how many are on it."""
        return {i: len(cluster.input_ids) for cluster in self.clusters for i in cluster.input_ids}

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler's metadata: figures, no text."""
        figures = {name: value for name, value in asdict(self).items() if name != "clusters"}
        figures |= {"since": self.since.isoformat(), "until": self.until.isoformat()}
        return figures | {
            "n_clusters": len(self.clusters),
            "n_new_clusters": sum(cluster.is_new for cluster in self.clusters),
        }


def count_inputs(connection: Connection, since: date, until: date) -> int:
    """Inputs of users, of these days."""
    return int(connection.execute(_COUNT, {"since": since, "until": until}).scalar_one())


def sample_inputs(connection: Connection, since: date, until: date, *, limit: int) -> list[Any]:
    """Some of them or all: id, text."""
    values = {"since": since, "until": until, "limit": limit}
    return list(connection.execute(_SAMPLE, values))


def texts_of(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """Texts of inputs."""
    return {row.id: row.text for row in connection.execute(_TEXTS, {"ids": list(ids)})}


def earlier_examples(connection: Connection, since: date, *, limit: int) -> list[str]:
    """Texts in the middle of topics of reports that ended by then, the latest first."""
    return list(connection.execute(_EARLIER, {"since": since, "limit": limit}).scalars())


def save(connection: Connection, report: DriftReport) -> None:
    """Stores a report in place of what was measured of the same days and versions before."""
    values = {name: getattr(report, name) for name in _FIGURES}
    connection.execute(_FORGET, values)
    report_id = connection.execute(_SAVE, values).scalar_one()
    for cluster in report.clusters:
        connection.execute(
            _SAVE_CLUSTER,
            {
                "report_id": report_id,
                "example_id": cluster.example_id,
                "input_ids": list(cluster.input_ids),
                "guideline_id": cluster.guideline_id,
                "score": cluster.score,
                "is_new": cluster.is_new,
            },
        )


def latest(connection: Connection, limit: int) -> list[DriftReport]:
    """Reports with their topics, the newest first."""
    rows = connection.execute(_LATEST, {"limit": limit}).all()
    clusters: dict[int, list[DriftCluster]] = {row.id: [] for row in rows}
    for found in connection.execute(_CLUSTERS, {"ids": list(clusters)}):
        clusters[found.report_id].append(
            DriftCluster(
                example_id=found.example_id,
                input_ids=tuple(found.input_ids),
                guideline_id=found.guideline_id,
                score=found.score,
                is_new=found.is_new,
                example=found.example,
                nearest_guideline=found.nearest_guideline,
            )
        )
    return [
        DriftReport(
            **{name: getattr(row, name) for name in _FIGURES}, clusters=tuple(clusters[row.id])
        )
        for row in rows
    ]
