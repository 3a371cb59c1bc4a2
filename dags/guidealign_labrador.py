"""Fine-tunes Labrador on the aligned data set, and promotes it only through its gate."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from guidealign_airflow import (
    ALIGNED_DATASET,
    LABRADOR,
    STAGE_DEFAULTS,
    TRAINING_POOL,
    actor,
    announce,
    services,
)
from guidealign_airflow.deadlines import stage_deadline
from guidealign_airflow.people import approval_of, ask_people

DOC = """
### Labrador

LoRA fine-tuning of the base model on the aligned data set, merged, saved as safetensors, registered
in MLflow as `guidealign-labrador@challenger`, loaded again and compared before it counts. The gate
compares it with the champion on held-out preference cases: better on risky prompts, not worse at
helping with harmless ones, not worse at everyday quality.
"""


@task(pool=TRAINING_POOL)
def train() -> dict[str, Any]:
    """Trains and registers a challenger, or finds the one that was trained on the same data."""
    from guidealign.labrador import train_labrador

    return train_labrador(**services().all()).as_dict()


@task(pool=TRAINING_POOL)
def gate(trained: dict[str, Any]) -> dict[str, Any]:
    """Compares challenger and champion case by case."""
    from guidealign.evaluation import judge_labrador

    return judge_labrador(trained["version"], **services().all()).as_dict()


@task(outlets=[LABRADOR])
def switch(judged: dict[str, Any], answer: dict[str, Any] | None) -> dict[str, Any]:
    """Does what the gate decided, and people approved where they are to."""
    from guidealign.promotion import follow_judgement

    approval = approval_of(answer)
    ready = services().all()
    result = follow_judgement(judged, actor=actor(), approval=approval, **ready).as_dict()
    announce(LABRADOR, {"changed": result["action"] == "promote", **result})
    return result


@dag(
    schedule=[ALIGNED_DATASET],
    catchup=False,
    max_active_runs=1,
    default_args=STAGE_DEFAULTS,
    deadline=stage_deadline("labrador"),
    tags=["guidealign", "models"],
    doc_md=DOC,
)
def guidealign_labrador() -> None:
    """Wiring only."""
    judged = gate(train())
    switch(judged, ask_people(judged))


guidealign_labrador()
