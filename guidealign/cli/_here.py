"""Stages in this process, with the display that a cycle in Airflow has."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from guidealign.cli._progress import CycleDisplay, StageRun
from guidealign.cycle import RETRIES, Services, Stage, Step, local_context, run_stage
from guidealign.errors import GuidealignError, PermanentError

_REFRESH_S = 1.0


class StageFailedError(PermanentError):
    """A stage failed; what it had done is kept."""


def run_here(
    stages: Sequence[Stage],
    services: Services,
    params: Mapping[str, Mapping[str, Any]],
    *,
    console: Console,
    only: Iterable[str] | None = None,
) -> list[StageRun]:
    """Runs stages one after the other.

    Args:
        stages: of the table.
        services: of this installation.
        params: what a stage is asked for, by its name, in place of the settings'.
        console: where progress goes.
        only: steps of the stages that are run; None: all.

    Returns:
        The stages with what their steps returned.

    Raises:
        StageFailedError: a step failed.
    """
    runs = [StageRun(stage, stage.name) for stage in stages]
    with CycleDisplay(runs, console, services) as display, _refreshed(display):
        for run in runs:
            _run(run, services, params.get(run.stage.name, {}), only, display)
    return runs


def _run(
    run: StageRun,
    services: Services,
    params: Mapping[str, Any],
    only: Iterable[str] | None,
    display: CycleDisplay,
) -> None:
    tasks = {step.name: {"task_id": step.name, "state": None} for step in run.stage.steps}
    run.tasks = list(tasks.values())
    run.state = "running"
    run.begin()

    def watch(step: Step, state: str) -> None:
        tasks[step.name]["state"] = state
        if state != "success":
            display.refresh()

    context = local_context(services, run.stage, params=params, note=display.note)
    try:
        run.result = run_stage(run.stage, context, only=only, watch=watch, retries=RETRIES)
    except GuidealignError as error:
        run.end("failed")
        failed = ", ".join(name for name, task in tasks.items() if task["state"] == "failed")
        raise StageFailedError(f"{run.stage.name} failed in {failed}: {error}") from error
    run.end("success")
    display.refresh()


@contextmanager
def _refreshed(display: CycleDisplay) -> Iterator[None]:
    """Has the display show how far it is while the stages have this thread."""
    ended = threading.Event()

    def refresh() -> None:
        while not ended.wait(_REFRESH_S):
            display.refresh()

    thread = threading.Thread(target=refresh, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
