"""Curates candidates and publishes the next version of the library."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from guidealign_airflow import CANDIDATES, LIBRARY, STAGE_DEFAULTS, actor, announce, services
from guidealign_airflow.deadlines import stage_deadline
from guidealign_airflow.stages import stage_task

DOC = """
### Library

Candidates that the review policy lets through are freed of duplicates (exact and by meaning) and of
contradictions, and published as a new version. The live retriever embeds what is new before the
version is served. Without a change there is no new version. Starts **guidealign_retriever**.
"""


@stage_task("publish")
def publish() -> dict[str, Any]:
    """Publishes what has passed the filter and the review policy."""
    from guidealign.library import publish as publish_library

    result = publish_library(
        note="published after authoring", published_by=actor(), **services().data()
    )
    return result.as_dict()


@task
def embed() -> dict[str, Any]:
    """Embeds new guidelines with the retriever that is live."""
    from guidealign.db import current_release
    from guidealign.retriever import embed_library

    ready = services()
    release = current_release(ready.engine)
    return embed_library(release.retriever_version if release else 0, **ready.all()).as_dict()


@stage_task("serve", outlets=[LIBRARY])
def serve(published: dict[str, Any]) -> dict[str, Any]:
    """Makes a release with the new library version."""
    from guidealign.promotion import adopt_library

    release = adopt_library(actor=actor(), **services().data())
    result = {**published, "release": release.release_id}
    announce(LIBRARY, result)
    return result


@dag(
    schedule=[CANDIDATES],
    catchup=False,
    max_active_runs=1,
    default_args=STAGE_DEFAULTS,
    deadline=stage_deadline("library"),
    tags=["guidealign", "guidelines"],
    doc_md=DOC,
)
def guidealign_library() -> None:
    """Wiring only."""
    published = publish()
    published >> embed() >> serve(published)


guidealign_library()
