"""Has the model answer inputs with guidelines in front: the aligned data set."""

from __future__ import annotations

from airflow.sdk import dag

from guidealign_airflow.schedules import stage_schedule
from guidealign_airflow.wiring import stage_dag, wire

DOC = """
### Align

Retrieves candidates for an input, leaves near-duplicates out, keeps as many as a request to the
gateway gets, and has the base model answer with them in front (Guide-Align, stage 2). The answers
become a data set with a digest; what a filter leaves out is named. Answers that are there already
are not asked for again. Starts **guidealign_labrador**.
"""


@dag(schedule=stage_schedule("align"), **stage_dag("align"), doc_md=DOC)
def guidealign_align() -> None:
    """Wiring only."""
    wire("align")


guidealign_align()
