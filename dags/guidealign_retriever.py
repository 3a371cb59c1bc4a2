"""Retrains the retriever on the library, and promotes it only through its gate."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from guidealign_airflow import LIBRARY, STAGE_DEFAULTS, TRAINING_POOL, services
from guidealign_airflow.deadlines import stage_deadline
from guidealign_airflow.operators import GateOperator, SwitchOperator
from guidealign_airflow.people import ask_people
from guidealign_airflow.stages import stage_task

DOC = """
### Retriever

Trains a dual encoder on the library's (input, guideline) pairs, registers it in MLflow as
`guidealign-retriever@challenger`, embeds the library beside the live vectors, and compares both on
held-out inputs. The gate's interval decides; the alias `champion` and the release move only when it
says *promote*. Nothing new to learn from: no training. Starts **guidealign_align**.
"""


@stage_task("train", pool=TRAINING_POOL)
def train() -> dict[str, Any]:
    """Trains and registers a challenger, or finds the one that was trained on the same data."""
    from guidealign.records import RETRIEVER_MODEL
    from guidealign.retriever import train_challenger

    return {"model_name": RETRIEVER_MODEL, **train_challenger(**services().all()).as_dict()}


@task(pool=TRAINING_POOL)
def embed(trained: dict[str, Any]) -> dict[str, Any]:
    """Embeds the library with the challenger."""
    from guidealign.retriever import embed_library

    return embed_library(trained["version"], **services().all()).as_dict()


@dag(
    schedule=[LIBRARY],
    catchup=False,
    max_active_runs=1,
    default_args=STAGE_DEFAULTS,
    deadline=stage_deadline("retriever"),
    tags=["guidealign", "models"],
    doc_md=DOC,
)
def guidealign_retriever() -> None:
    """Wiring only."""
    trained = train()
    judged = GateOperator(
        task_id="gate", trained=trained, doc_md="Compares challenger and champion case by case."
    )
    embed(trained) >> judged
    SwitchOperator(
        task_id="switch",
        model_name="guidealign-retriever",
        judged=judged.output,
        answer=ask_people(judged.output),
        doc_md="Does what the gate decided, and people approved; the run's note says what it was.",
    )


guidealign_retriever()
