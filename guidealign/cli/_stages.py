"""The stages of a cycle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

STAGES = (
    "guidealign_ingest",
    "guidealign_author",
    "guidealign_library",
    "guidealign_retriever",
    "guidealign_align",
    "guidealign_labrador",
)
"""The DAGs of a cycle in the order in which their assets wake each other."""


@dataclass
class StageRun:
    """One DAG's run within a cycle."""

    dag_id: str
    run_id: str | None = None
    state: str = "waiting"
    tasks: list[dict[str, Any]] = field(default_factory=list)
    elapsed_s: float = 0.0
    result: dict[str, Any] = field(default_factory=dict)
    """What the stage's last task returned."""
