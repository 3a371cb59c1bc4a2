"""Has the model answer inputs with guidelines in front: the aligned data set."""

from __future__ import annotations

from airflow.sdk import dag

from guidealign_airflow import RETRIEVER, STAGE_DEFAULTS
from guidealign_airflow.deadlines import stage_deadline
from guidealign_airflow.operators import AlignOperator

DOC = """
### Align

Retrieves 20 guidelines an input, leaves near-duplicates out, keeps 6, and has the base model answer
with them in front (Guide-Align, stage 2). The answers become a data set with a digest; what a
filter leaves out is named. Answers that are there already are not asked for again. Starts
**guidealign_labrador**.
"""


@dag(
    schedule=[RETRIEVER],
    catchup=False,
    max_active_runs=1,
    default_args=STAGE_DEFAULTS,
    deadline=stage_deadline("align"),
    tags=["guidealign", "models"],
    doc_md=DOC,
)
def guidealign_align() -> None:
    """Wiring only."""
    AlignOperator(task_id="build", doc_md="Answers what has no answer under the live release.")


guidealign_align()
