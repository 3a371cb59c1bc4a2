"""Retrains the retriever on the library, and promotes it only through its gate."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from guidealign_airflow import (
    LIBRARY,
    RETRIEVER,
    STAGE_DEFAULTS,
    TRAINING_POOL,
    actor,
    announce,
    services,
)
from guidealign_airflow.deadlines import stage_deadline
from guidealign_airflow.people import approval_of, ask_people

DOC = """
### Retriever

Trains a dual encoder on the library's (input, guideline) pairs, registers it in MLflow as
`guidealign-retriever@challenger`, embeds the library beside the live vectors, and compares both on
held-out inputs. The gate's interval decides; the alias `champion` and the release move only when it
says *promote*. Nothing new to learn from: no training. Starts **guidealign_align**.
"""


@task(pool=TRAINING_POOL)
def train() -> dict[str, Any]:
    """Trains and registers a challenger, or finds the one that was trained on the same data."""
    from guidealign.retriever import train_challenger

    return train_challenger(**services().all()).as_dict()


@task(pool=TRAINING_POOL)
def embed(trained: dict[str, Any]) -> dict[str, Any]:
    """Embeds the library with the challenger."""
    from guidealign.retriever import embed_library

    return embed_library(trained["version"], **services().all()).as_dict()


@task(pool=TRAINING_POOL)
def gate(trained: dict[str, Any]) -> dict[str, Any]:
    """Compares challenger and champion case by case."""
    from guidealign.evaluation import judge_retriever

    return judge_retriever(trained["version"], **services().all()).as_dict()


@task(outlets=[RETRIEVER])
def switch(judged: dict[str, Any], answer: dict[str, Any] | None) -> dict[str, Any]:
    """Does what the gate decided, and people approved where they are to."""
    from guidealign.promotion import follow_judgement

    approval = approval_of(answer)
    ready = services().all()
    result = follow_judgement(judged, actor=actor(), approval=approval, **ready).as_dict()
    announce(RETRIEVER, {"changed": result["action"] == "promote", **result})
    return result


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
    judged = gate(trained)
    embed(trained) >> judged
    switch(judged, ask_people(judged))


guidealign_retriever()
