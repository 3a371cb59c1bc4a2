"""Fine-tunes Labrador on the aligned data set, and promotes it only through its gate."""

from __future__ import annotations

from airflow.sdk import dag

from guidealign_airflow.schedules import stage_schedule
from guidealign_airflow.wiring import stage_dag, wire

DOC = """
### Labrador

LoRA fine-tuning of the base model on the aligned data set, merged, saved as safetensors, registered
in MLflow as `guidealign-labrador@challenger`, loaded again and compared before it counts. The gate
compares it with the champion on held-out preference cases: better on risky prompts, not worse at
helping with harmless ones, not worse at everyday quality.
"""


@dag(schedule=stage_schedule("labrador"), **stage_dag("labrador"), doc_md=DOC)
def guidealign_labrador() -> None:
    """Wiring only."""
    wire("labrador")


guidealign_labrador()
