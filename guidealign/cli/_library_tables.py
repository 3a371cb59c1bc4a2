"""What `guidealign library` shows to people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from guidealign.library import (
        Change,
        GuidelineDetails,
        HistoryStep,
        IndexResult,
        LibraryStats,
        NearGuideline,
        VersionRow,
    )
    from guidealign.records import RetrievedGuideline
    from guidealign.retriever import DriftReport


def found(guidelines: Iterable[RetrievedGuideline]) -> Table:
    """Results of a search, best first."""
    rows = (
        (g.guideline_id, f"{g.score:.3f}", g.category, f"{g.title}: {g.text}") for g in guidelines
    )
    return _table(("id", "score", "category", "guideline"), rows)


def changes(rows: Iterable[Change]) -> Table:
    """What is in one version and not in another."""
    return _table(
        ("change", "id", "category", "guideline", "reason"),
        (
            (row.change, row.id, row.category, f"{row.title}: {row.text}", row.reason)
            for row in rows
        ),
    )


def drift(reports: Iterable[DriftReport]) -> Table:
    """Week by week, what the retriever finds for new inputs."""

    def share(value: float | None) -> str:
        return "" if value is None else f"{value:.0%}"

    def score(value: float | None) -> str:
        return "" if value is None else f"{value:.3f}"

    return _table(
        ("since", "until", "retriever", "library", "inputs", "median score", "no good guideline",
         "distance", "topics", "new"),
        (
            (r.since, r.until, r.retriever_version, r.library_version, r.n_inputs,
             score(r.median_score), share(r.share_poor), score(r.distance), len(r.clusters),
             sum(c.is_new for c in r.clusters))
            for r in reports
        ),
    )  # fmt: skip


def drift_topics(report: DriftReport) -> Table:
    """Topics of one week without a good guideline, largest first."""
    return _table(
        ("inputs", "new", "example", "nearest guideline", "score"),
        (
            (len(c.input_ids), "yes" if c.is_new else "", c.example,
             f"{c.guideline_id} {c.nearest_guideline}", f"{c.score:.3f}")
            for c in report.clusters
        ),
    )  # fmt: skip


def steps(rows: Iterable[HistoryStep]) -> Table:
    """The life of a guideline."""
    return _table(
        ("when", "from", "to", "version", "who", "reason"),
        (
            (_moment(s.created_at), s.from_state, s.to_state, s.version, s.actor, s.reason)
            for s in rows
        ),
    )


def versions(rows: Iterable[VersionRow]) -> Table:
    """Publications of the library."""
    return _table(
        ("version", "active", "added", "gone", "published", "by", "note"),
        (
            (v.version, v.n_active, v.n_added, v.n_retired, _moment(v.published_at), v.published_by,
             v.note)
            for v in rows
        ),
    )  # fmt: skip


def indexes(rows: Iterable[IndexResult]) -> Table:
    """How retriever versions are searched."""
    return _table(
        ("retriever", "vectors", "searched", "recall", "ef_search"),
        (
            (
                row.retriever_version,
                row.n_vectors,
                "through an index" if row.indexed else "exactly",
                None if row.recall is None else f"{row.recall:.3f}",
                row.ef_search,
            )
            for row in rows
        ),
    )


def print_details(details: GuidelineDetails, console: Console) -> None:
    """A guideline and what surrounds it."""
    g = details.guideline
    console.print(f"[bold]{g.id}  {escape(g.title)}[/bold]", highlight=False)
    console.print(escape(g.text), highlight=False)
    served = (
        "no version" if g.added_in is None else f"versions {g.added_in} to {g.retired_in or 'now'}"
    )
    facts = {
        "category": g.category,
        "language": g.language,
        "state": g.state + (f" ({g.state_reason})" if g.state_reason else ""),
        "served in": served,
        "from": ", ".join(filter(None, (g.origin, g.source, g.author_model))),
        "approved by": g.approved_by,
        "merged into": g.merged_into,
        "retrieved": f"{g.n_retrieved} times",
    }
    for name, value in facts.items():
        if value is not None:
            console.print(f"{name:<12} {escape(str(value))}", highlight=False)
    _section(console, f"written for {g.n_inputs} inputs", ("id", "input"),
             [(i.id, i.text) for i in details.inputs])  # fmt: skip
    near = ("id", "score", "state", "guideline")
    _section(console, "nearest in meaning", near, _near(details.near))
    _section(console, "stands for", near, _near(details.merged))
    _section(console, "may contradict", ("id", "status", "score", "text", "decided by"),
             [(c.id, c.status, f"{c.score:.3f}", c.text, c.decided_by) for c in details.conflicts],
             )  # fmt: skip
    console.rule("history")
    console.print(steps(details.history))


def print_stats(found: LibraryStats, console: Console) -> None:
    """The library in figures."""
    states = ", ".join(f"{n} {state}" for state, n in found.states.items())
    console.print(states or "the library is empty", highlight=False)
    console.print(
        _table(
            ("category", "inputs", "unsafe", "active", "waiting", "stopped", "inputs without"),
            (
                (c.category, c.n_inputs, c.n_unsafe, c.n_active, c.n_candidates, c.n_quarantined,
                 c.n_inputs_without_guideline)
                for c in found.categories
            ),
        )
    )  # fmt: skip
    if found.publications:
        console.rule("last publications")
        console.print(versions(found.publications))
    columns = ("retriever", "vectors", "ef_search", "recall", "measured")
    _section(console, "search indexes", columns, [
        (i.retriever_version, i.n_vectors, i.ef_search, f"{i.recall:.3f}", _moment(i.built_at))
        for i in found.indexes
    ])  # fmt: skip


def _near(rows: Iterable[NearGuideline]) -> list[tuple[Any, ...]]:
    return [
        (n.id, None if n.score is None else f"{n.score:.3f}", n.state, f"{n.title}: {n.text}")
        for n in rows
    ]


def _section(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    if rows:
        console.rule(title)
        console.print(_table(columns, rows))


def _table(columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> Table:
    table = Table(*columns)
    for row in rows:
        # Text of models and users is shown as it is, never read as markup.
        table.add_row(*("" if value is None else escape(str(value)) for value in row))
    return table


def _moment(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M}"
