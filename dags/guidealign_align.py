"""Has the model answer inputs with guidelines in front: the aligned data set."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from guidealign_airflow import (
    ALIGNED_DATASET,
    MODEL_SERVER_POOL,
    RETRIEVER,
    STAGE_DEFAULTS,
    announce,
    services,
)

DOC = """
### Align

Retrieves 20 guidelines an input, leaves near-duplicates out, keeps 6, and has the base model answer
with them in front (Guide-Align, stage 2). The answers become a data set with a digest; what a
filter leaves out is named. Answers that are there already are not asked for again. Starts
**guidealign_labrador**.
"""


@task(outlets=[ALIGNED_DATASET], pool=MODEL_SERVER_POOL)
def build() -> dict[str, Any]:
    """Answers what has no answer under the live release, and fixes the data set."""
    from guidealign.alignment import build_dataset

    result = build_dataset(**services().all()).as_dict()
    announce(ALIGNED_DATASET, {"changed": result["n_new"] > 0, **result})
    return result


@dag(
    schedule=[RETRIEVER],
    catchup=False,
    max_active_runs=1,
    default_args=STAGE_DEFAULTS,
    tags=["guidealign", "models"],
    doc_md=DOC,
)
def guidealign_align() -> None:
    """Wiring only."""
    build()


guidealign_align()
