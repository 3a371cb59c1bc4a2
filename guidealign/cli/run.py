"""`guidealign run`: one continual-alignment cycle through the scheduler, followed to its end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from guidealign.cli._progress import CycleDisplay, StageRun
from guidealign.cli._summary import print_summary
from guidealign.cycle import STAGES, open_services
from guidealign.errors import PermanentError, PlatformError, ServiceUnavailableError
from guidealign.platform import AirflowApi
from guidealign.settings import Settings

_POLL_S = 2.0
_OUTAGE_S = 120.0
_HANDOVER_S = 180.0
_FINAL = {"success", "failed"}


class CycleFailedError(PermanentError):
    """A stage of the cycle failed; its log has been shown."""


def run_cycle(
    settings: Settings, conf: dict[str, Any], *, console: Console, timeout_s: float
) -> list[StageRun]:
    """Triggers ingest and follows the chain of assets to its end.

    Args:
        settings: where Airflow is.
        conf: params of the ingest DAG.
        console: where progress and summary go.
        timeout_s: the whole cycle's limit.

    Raises:
        CycleFailedError: a stage failed or did not start.
        ServiceUnavailableError: Airflow was away for longer than two minutes.
    """
    api = AirflowApi(settings)
    _wait_for_dags(api)
    started = time.monotonic()
    stages = [StageRun(stage, stage.dag_id) for stage in STAGES]
    stages[0].run_id = api.trigger(stages[0].name, conf)
    with CycleDisplay(stages, console, open_services(settings)) as display:
        follower = _Follower(api, stages, display, started + timeout_s)
        for position in range(len(stages)):
            follower.follow(position)
    print_summary(stages, settings, console, elapsed_s=time.monotonic() - started)
    return stages


def _wait_for_dags(api: AirflowApi, timeout_s: float = 90.0) -> None:
    deadline = time.monotonic() + timeout_s
    missing = [stage.dag_id for stage in STAGES]
    while missing:
        missing = [dag_id for dag_id in missing if not api.dag_is_known(dag_id)]
        if missing and time.monotonic() > deadline:
            errors = api.import_errors()
            why = f": {errors[0]}" if errors else ""
            raise PlatformError(f"Airflow does not know {', '.join(missing)}{why}")
        if missing:
            time.sleep(_POLL_S)


@dataclass
class _Follower:
    """Follows one stage after the other."""

    api: AirflowApi
    stages: list[StageRun]
    display: CycleDisplay
    deadline: float
    away_since: float | None = None

    def follow(self, position: int) -> None:
        stage = self.stages[position]
        stage.begin()
        while stage.state not in _FINAL:
            if time.monotonic() > self.deadline:
                raise CycleFailedError(f"{stage.name} did not end in time; it goes on in Airflow")
            if stage.run_id is None and stage.elapsed_s > _HANDOVER_S:
                raise CycleFailedError(f"{stage.name} was not started by the stage before it")
            self._try_update(position)
            self.display.refresh()
            if stage.state not in _FINAL:
                time.sleep(_POLL_S)
        if stage.state == "failed":
            self._fail(stage)

    def _try_update(self, position: int) -> None:
        try:
            self._update(position)
            self.away_since = None
        except ServiceUnavailableError:
            now = time.monotonic()
            self.away_since = self.away_since or now
            if now - self.away_since > _OUTAGE_S:
                raise

    def _update(self, position: int) -> None:
        stage = self.stages[position]
        if stage.run_id is None:
            before = self.stages[position - 1]
            stage.run_id = self.api.run_started_by(stage.name, before.name, before.run_id or "")
        if stage.run_id is None:
            return
        run = self.api.run(stage.name, stage.run_id)
        stage.tasks = self.api.task_instances(stage.name, stage.run_id)
        if run["state"] == "success":
            stage.result = self._result(stage)
        if run["state"] in _FINAL:
            stage.end(run["state"])
        else:
            stage.state = run["state"]

    def _result(self, stage: StageRun) -> dict[str, Any]:
        """All tasks' results by task; a stage is described by what its tasks return."""
        results = {}
        for task_id in {task["task_id"] for task in stage.tasks if task["map_index"] == -1}:
            value = self.api.xcom(stage.name, stage.run_id or "", task_id)
            if isinstance(value, dict):
                results[task_id] = value
        return results

    def _fail(self, stage: StageRun) -> None:
        failed = [task for task in stage.tasks if task["state"] == "failed"]
        for task in failed[:1]:
            lines = self.api.log_tail(task)
            self.display.show_log(f"{stage.name}.{task['task_id']}", lines)
        names = ", ".join(task["task_id"] for task in failed) or "no task"
        raise CycleFailedError(
            f"{stage.name} failed in {names}; see {self.api.base_url}/dags/{stage.name}"
        )
