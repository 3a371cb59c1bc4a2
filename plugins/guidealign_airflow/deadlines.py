"""Deadlines of the stages: a run that is late is told of, and goes on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from airflow.sdk import (  # type: ignore[attr-defined]  # its stub leaves them out
    AsyncCallback,
    DeadlineAlert,
    DeadlineReference,
)

from guidealign.settings import load_settings


def stage_deadline(stage: str) -> DeadlineAlert | None:
    """The deadline of a stage's runs, from the setting `airflow.deadlines_min`; None: none.

    Raises:
        AttributeError: there is no such stage.
    """
    settings = load_settings().airflow
    minutes: float = getattr(settings.deadlines_min, stage)
    if minutes == 0 or not settings.deadlines:
        return None
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(minutes=minutes),
        callback=AsyncCallback(tell_late, kwargs={"stage": stage, "minutes": minutes}),
        name=f"guidealign {stage}",
    )


async def tell_late(stage: str, minutes: float, context: dict[str, Any]) -> str:
    """Writes a line to the triggerer's log, which Airflow keeps with the missed deadline."""
    run = context.get("dag_run") or {}
    said = (
        f"{stage}: run {run.get('dag_run_id', '?')} is not done {minutes:g} minutes after it was"
        f" queued (state {run.get('state', '?')})"
    )
    structlog.get_logger().warning("deadline.missed", stage=stage, minutes=minutes, said=said)
    return said
