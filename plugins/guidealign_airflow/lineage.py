"""What each stage reads and writes, by names that are the same from stage to stage.

Tables have the names that OpenLineage's convention gives them, so other tools that report it mean
the same ones; models are named under MLflow's address. What has versions keeps its name and says
the version: `guidealign-retriever` 3 is trained and judged, `guidealign-retriever@champion` 3 is
what a switch makes of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from guidealign.cycle import Kind
from guidealign.records import JUDGES_MODEL

if TYPE_CHECKING:
    from guidealign.settings import Settings
    from guidealign_airflow.runtime import Services

Facts = Mapping[str, Any]
_POSTGRES_PORT = 5432


@dataclass(frozen=True)
class DataSet:
    """Something that a stage reads or writes."""

    namespace: str
    name: str
    version: str | None = None
    n: int | None = None
    """Rows that were written; None: it is not counted in rows."""


@dataclass(frozen=True)
class Lineage:
    """Of one run of a stage."""

    reads: tuple[DataSet, ...]
    writes: tuple[DataSet, ...]
    figures: Facts = field(default_factory=dict)


def is_told() -> bool:
    """Whether OpenLineage is installed and has somewhere to send events to."""
    try:
        from airflow.providers.openlineage import conf
    except ImportError:
        return False
    return not conf.is_disabled()


def facts_of(stage: Kind, results: Facts) -> Facts:
    """What the results of steps before it say of a stage: which versions it is about.

    Args:
        stage: which.
        results: by step.
    """
    if stage == "gate":
        trained = results["train"]
        return {"model_name": trained["model_name"], "challenger_version": trained["version"]}
    if stage == "switch":
        judged = results["gate"]
        return {
            "model_name": judged["model_name"],
            "to_version": judged["challenger_version"],
            "decision_id": judged["decision_id"],
        }
    return {}


def known_before(stage: Kind, facts: Facts, settings: Settings) -> Lineage:
    """What a stage is about to read and write, as far as that is known.

    Args:
        stage: which.
        facts: what it was given: `model_name`, and a challenger's version.
        settings: where the database and MLflow are.
    """
    return _STAGES[stage](Places(settings), facts)


def known_after(stage: Kind, facts: Facts, ready: Services) -> Lineage:
    """What a stage read and wrote, with versions and figures.

    Args:
        stage: which.
        facts: what it was given and returned.
        ready: of the task that ran.

    Raises:
        ServiceUnavailableError: the database is away.
    """
    if stage == "train":
        facts = {**facts, **_made_of(facts, ready)}
    known = _STAGES[stage](Places(ready.settings), facts)
    figures = {k: v for k, v in facts.items() if isinstance(v, bool | int | float | str)}
    return Lineage(known.reads, known.writes, figures)


def _made_of(trained: Facts, ready: Services) -> dict[str, Any]:
    """Of a version: its library or data set, and its run in MLflow; nothing if it is not known."""
    from guidealign.promotion import model_lineage

    names = ("library_version", "dataset_id", "data_digest", "base_model", "mlflow_run_id")
    for row in model_lineage(engine=ready.engine):
        if (row.model_name, row.version) == (trained["model_name"], trained["version"]):
            return {name: getattr(row, name) for name in names}
    return {}


class Places:
    """Names data sets by where they are."""

    def __init__(self, settings: Settings) -> None:
        from sqlalchemy import make_url

        url = make_url(settings.require_database_url())
        self._server = f"postgres://{url.host or 'localhost'}:{url.port or _POSTGRES_PORT}"
        self._database = url.database
        # A store of MLflow's may be a database with a password.
        uri = settings.mlflow.tracking_uri or "mlflow"
        self._mlflow = re.sub(r"(?<=://)[^/@]*@", "", uri).rstrip("/")

    def table(self, name: str, version: object = None, n: int | None = None) -> DataSet:
        """A view of schema `library`, which shows what the tables of the platform hold."""
        return DataSet(self._server, f"{self._database}.library.{name}", _shown(version), n)

    def models(self, facts: Facts, version: int | None, alias: str = "") -> tuple[DataSet, ...]:
        """A model version; nothing for the untrained base, which is not registered."""
        if "model_name" not in facts or version == 0:
            return ()
        return (DataSet(self._mlflow, facts["model_name"] + alias, _shown(version)),)

    def sources(self, facts: Facts) -> tuple[DataSet, ...]:
        """Where inputs were read from; nothing before they are read."""
        if "source" not in facts:
            return ()
        namespace = "file" if facts["source_kind"] == "file" else "guidealign"
        return (DataSet(namespace, facts["source"]),)


def _shown(version: object) -> str | None:
    return None if version is None else str(version)


def _ingest(at: Places, facts: Facts) -> Lineage:
    return Lineage(at.sources(facts), (at.table("inputs", n=facts.get("n_new")),))


def _author(at: Places, facts: Facts) -> Lineage:
    return Lineage((at.table("inputs"),), (at.table("guidelines", n=facts.get("n_guidelines")),))


def _publish(at: Places, facts: Facts) -> Lineage:
    made = at.table("versions", facts.get("version"), facts.get("n_active"))
    served = (at.table("releases", facts["release"]),) if "release" in facts else ()
    return Lineage((at.table("guidelines"),), (made, *served))


def _serve(at: Places, facts: Facts) -> Lineage:
    return Lineage(
        (at.table("versions", facts.get("version")),),
        (at.table("releases", facts.get("release")),),
    )


def _train(at: Places, facts: Facts) -> Lineage:
    if facts.get("model_name") == JUDGES_MODEL:
        # Labelled rows have no view.
        return Lineage((), at.models(facts, facts.get("version")))
    if facts.get("dataset_id") is not None:
        learned = at.table("aligned_responses", facts["data_digest"])
    else:
        learned = at.table("versions", facts.get("library_version"))
    return Lineage((learned,), at.models(facts, facts.get("version")))


def _gate(at: Places, facts: Facts) -> Lineage:
    champion = at.models(facts, facts.get("champion_version", 0), "@champion")
    challenger = at.models(facts, facts.get("challenger_version"))
    return Lineage((*challenger, *champion), (at.table("gate_history", facts.get("decision_id")),))


def _switch(at: Places, facts: Facts) -> Lineage:
    version = facts.get("to_version")
    decision = facts.get("decision_id")
    reads = at.models(facts, version)
    if decision is not None:
        reads += (at.table("gate_history", decision),)
    if facts.get("action") not in {"promote", "rollback"}:
        return Lineage(reads, ())
    served = at.table("releases", facts["release_id"])
    return Lineage(reads, (*at.models(facts, version, "@champion"), served))


def _align(at: Places, facts: Facts) -> Lineage:
    from guidealign.records import RETRIEVER_MODEL

    retriever = {"model_name": RETRIEVER_MODEL}
    found_by = at.models(retriever, facts.get("retriever_version", 0), "@champion")
    library = at.table("versions", facts.get("library_version"))
    made = at.table("aligned_responses", facts.get("digest"), facts.get("n"))
    return Lineage((at.table("inputs"), library, *found_by), (made,))


_STAGES: dict[Kind, Callable[[Places, Facts], Lineage]] = {
    "ingest": _ingest,
    "author": _author,
    "publish": _publish,
    "serve": _serve,
    "train": _train,
    "gate": _gate,
    "switch": _switch,
    "align": _align,
}
