"""Retrains the retriever on the library, and promotes it only through its gate."""

from __future__ import annotations

from airflow.sdk import dag

from guidealign_airflow.schedules import stage_schedule
from guidealign_airflow.wiring import stage_dag, wire

DOC = """
### Retriever

Trains a dual encoder on the library's (input, guideline) pairs, registers it in MLflow as
`guidealign-retriever@challenger`, embeds the library beside the live vectors, and compares both on
held-out inputs. The gate's interval decides; the alias `champion` and the release move only when it
says *promote*. Nothing new to learn from: no training. Starts **guidealign_judges**.
"""


@dag(schedule=stage_schedule("retriever"), **stage_dag("retriever"), doc_md=DOC)
def guidealign_retriever() -> None:
    """Wiring only."""
    wire("retriever")


guidealign_retriever()
