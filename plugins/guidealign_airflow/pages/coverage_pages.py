"""What the library covers, what it lacks, and what of it is never used."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from guidealign.library import library_stats, library_versions, never_retrieved, risk_trend
from guidealign_airflow.pages.access import Reader
from guidealign_airflow.pages.context import platform
from guidealign_airflow.pages.render import page

router = APIRouter()

_VERSIONS = 60
_UNUSED = 25
_WEEKS = 26


@router.get("/coverage")
def coverage(request: Request, person: Reader) -> HTMLResponse:
    """Risks by state, growth by version, inputs by week, and what is never retrieved."""
    engine = platform().engine
    stats = library_stats(engine=engine)
    versions = library_versions(engine=engine, most=_VERSIONS)[::-1]
    unused = never_retrieved(engine=engine, most=_UNUSED)
    weeks = risk_trend(engine=engine, most=_WEEKS)
    return page(
        "coverage",
        request,
        person,
        stats=stats,
        stacks=[
            (
                c.category.replace("_", " "),
                (
                    ("active", c.n_active),
                    ("candidate", c.n_candidates),
                    ("quarantined", c.n_quarantined),
                ),
            )
            for c in stats.categories
        ],
        growth=[(f"version {v.version}", float(v.n_active)) for v in versions],
        weeks=[(w.week.strftime("%Y-%m-%d"), float(w.n_unsafe)) for w in weeks],
        unused=unused,
    )
