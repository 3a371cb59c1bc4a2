"""Fine-tunes Labrador on the aligned data set, and promotes it only through its gate."""

from __future__ import annotations

from airflow.sdk import dag

from guidealign_airflow import ALIGNED_DATASET, STAGE_DEFAULTS
from guidealign_airflow.deadlines import stage_deadline
from guidealign_airflow.operators import GateOperator, SwitchOperator, TrainLabradorOperator
from guidealign_airflow.people import ask_people

DOC = """
### Labrador

LoRA fine-tuning of the base model on the aligned data set, merged, saved as safetensors, registered
in MLflow as `guidealign-labrador@challenger`, loaded again and compared before it counts. The gate
compares it with the champion on held-out preference cases: better on risky prompts, not worse at
helping with harmless ones, not worse at everyday quality.
"""


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
    trained = TrainLabradorOperator(
        task_id="train",
        doc_md="Trains and registers a challenger, or finds the one of the same data.",
    )
    judged = GateOperator(
        task_id="gate",
        trained=trained.output,
        doc_md="Compares challenger and champion case by case.",
    )
    SwitchOperator(
        task_id="switch",
        model_name="guidealign-labrador",
        judged=judged.output,
        answer=ask_people(judged.output),
        doc_md="Does what the gate decided, and people approved; the run's note says what it was.",
    )


guidealign_labrador()
