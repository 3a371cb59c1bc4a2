"""Answers inputs in several ways and keeps the best answers: the aligned data set."""

from __future__ import annotations

from airflow.sdk import dag

from guidealign_airflow.schedules import stage_schedule
from guidealign_airflow.wiring import stage_dag, wire

DOC = """
### Align

Has the base model answer inputs plainly and with guidelines in front, as a request to the gateway
gets them (Guide-Align, stage 2), if wanted also revised once and by the safety model. The trained
judge keeps the best answer to each, by harm first, then help, or none; why stands in
`library.aligned_choices`. The data set is compared with the base's plain answers to the same inputs
and **held** where it is not shown to be better, where too few rows are left, or where no judge is
usable. Answers that are there already are not asked for again. Starts **guidealign_labrador**.
"""


@dag(schedule=stage_schedule("align"), **stage_dag("align"), doc_md=DOC)
def guidealign_align() -> None:
    """Wiring only."""
    wire("align")


guidealign_align()
