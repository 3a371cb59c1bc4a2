"""Curates candidates and publishes the next version of the library."""

from __future__ import annotations

from airflow.sdk import dag

from guidealign_airflow.schedules import stage_schedule
from guidealign_airflow.wiring import stage_dag, wire

DOC = """
### Library

Candidates that the review policy lets through are freed of duplicates (exact and by meaning) and of
contradictions, and published as a new version. The live retriever embeds what is new before the
version is served. Without a change there is no new version. Starts **guidealign_retriever**.
"""


@dag(schedule=stage_schedule("library"), **stage_dag("library"), doc_md=DOC)
def guidealign_library() -> None:
    """Wiring only."""
    wire("library")


guidealign_library()
