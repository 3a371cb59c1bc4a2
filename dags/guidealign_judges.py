"""Trains the judges of answers on the labelled rows."""

from __future__ import annotations

from airflow.sdk import dag

from guidealign_airflow.schedules import stage_schedule
from guidealign_airflow.wiring import stage_dag, wire

DOC = """
### Judges

Trains small heads that tell risky inputs, harmful answers, declines and help, on what the embedded
base reads in the labelled rows (the package's, imports), in a minute, and registers them in MLflow
as `guidealign-judges`. A version serves only where it is not worse on rows that it never saw, and
says itself for what it is usable. No new rows and the same reader: no training. Starts
**guidealign_align**.
"""


@dag(schedule=stage_schedule("judges"), **stage_dag("judges"), doc_md=DOC)
def guidealign_judges() -> None:
    """Wiring only."""
    wire("judges")


guidealign_judges()
