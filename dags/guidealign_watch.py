"""After a promotion: live answers against those before it, and back when they are worse."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from guidealign.settings import load_settings
from guidealign_airflow import STAGE_DEFAULTS, note_run, services
from guidealign_airflow.deadlines import stage_deadline

DOC = """
### Watch

Holds what the gateway saw of answers since a promotion (declined in their first words, thumbs down,
harmful by a judge's feedback) against the same under the version before. Each look spends a part of
the level, so that looking often makes no false alarm. A share that rose by more than
`watch.*_margin` is a breach: the version before serves again, and `library.promotions` says why.
`library.watch` has every look; `guidealign watch` does the same by hand.
"""


@task
def look() -> dict[str, Any]:
    """Looks at both models; nothing is looked at that was not promoted lately."""
    from guidealign.promotion import watch_promotions

    watched = watch_promotions(**services().all())
    if watched.analyses:
        note_run("\n".join(f"{seen.model_name}: {seen}" for seen in watched.analyses))
    return watched.as_dict()


@dag(
    schedule=load_settings().watch.schedule,
    catchup=False,
    max_active_runs=1,
    default_args=STAGE_DEFAULTS,
    deadline=stage_deadline("watch"),
    tags=["guidealign", "models"],
    doc_md=DOC,
)
def guidealign_watch() -> None:
    """Wiring only."""
    look()


guidealign_watch()
