"""`guidealign run`: one continual-alignment cycle through the scheduler, followed to its end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from guidealign.cli._progress import EARLIER, CycleDisplay, StageRun
from guidealign.cli._summary import print_summary
from guidealign.cycle import STAGES, open_services
from guidealign.errors import PermanentError, PlatformError, ServiceUnavailableError
from guidealign.platform import AirflowApi
from guidealign.settings import Settings

_POLL_S = 2.0
_OUTAGE_S = 120.0
_HANDOVER_S = 180.0
_FINAL = {"success", "failed"}
_ACTIVE = {"queued", "running"}


class CycleFailedError(PermanentError):
    """A stage of the cycle failed; its log has been shown."""


def run_cycle(
    settings: Settings, conf: dict[str, Any], *, console: Console, stalled_s: float
) -> list[StageRun]:
    """Triggers ingest and follows the chain of assets to its end.

    Where nothing is asked for that a cycle under way would not do, that one is followed.

    Args:
        settings: where Airflow is.
        conf: params of the ingest DAG.
        console: where progress and summary go.
        stalled_s: how long nothing may move.

    Raises:
        CycleFailedError: a stage failed, did not start, or nothing moved for too long.
        PlatformError: a stage is paused in Airflow, or not known there.
        ServiceUnavailableError: Airflow was away for longer than two minutes.
    """
    api = AirflowApi(settings)
    _wait_for_dags(api)
    # What a stage makes while the next one's DAG is paused starts nothing, also not later.
    if paused := [stage.dag_id for stage in STAGES if api.is_paused(stage.dag_id)]:
        raise PlatformError(
            f"paused in Airflow: {', '.join(paused)}; unpause what is to run, and run this again"
        )
    started = time.monotonic()
    stages = [StageRun(stage, stage.dag_id) for stage in STAGES]
    if conf or not _join(api, stages, console):
        stages[0].run_id = api.trigger(stages[0].name, conf)
    known = [stage for stage in stages if stage.run_id is not None]
    stages = stages[stages.index(known[0]) :]
    with CycleDisplay(stages, console, open_services(settings)) as display:
        follower = _Follower(api, stages, display, stalled_s)
        for position in range(len(stages)):
            follower.follow(position)
    print_summary(stages, settings, console, elapsed_s=time.monotonic() - started)
    return stages


def _join(api: AirflowApi, stages: list[StageRun], console: Console) -> bool:
    """Gives the stages the runs of a cycle that is under way; False: none is.

    The stage that is furthest back of those under way is followed, and what started it is traced:
    later ones take over what an earlier cycle left.
    """
    active = [_active(api, stage.name) for stage in stages]
    # Who asked for a source of his own follows that run himself.
    active[0] = [run for run in active[0] if not api.run(stages[0].name, run).get("conf")]
    position = next((place for place, runs in enumerate(active) if runs), None)
    if position is None:
        return False
    stage = stages[position]
    stage.run_id = active[position][-1]
    console.print(
        f"a cycle is under way ({stage.name}): it is followed to its end, and takes what was there"
        " when it began; run this again for what came later",
        highlight=False,
        soft_wrap=True,
    )
    for place in range(position, 0, -1):
        later, before = stages[place], stages[place - 1]
        sources = api.sources(later.name, later.run_id or "")
        runs = [str(run["dag_run_id"]) for run in api.runs(before.name)]
        newest = next((run for run in runs if (before.name, run) in sources), None)
        if newest is None:
            break
        before.run_id = newest
    return True


def _active(api: AirflowApi, dag_id: str) -> list[str]:
    """Ids of a DAG's runs that are under way, newest first."""
    return [str(run["dag_run_id"]) for run in api.runs(dag_id) if run["state"] in _ACTIVE]


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
    stalled_s: float
    away_since: float | None = None
    idle_since: float | None = None
    """Since when nothing has run that could start the stage; None: something does."""
    shown: str = ""
    moved_at: float = field(default_factory=time.monotonic)

    def follow(self, position: int) -> None:
        stage = self.stages[position]
        stage.begin()
        self.idle_since = time.monotonic()
        while stage.state not in _FINAL:
            self._try_update(position)
            self._look(stage)
            if stage.state not in _FINAL:
                time.sleep(_POLL_S)
        if stage.state == "failed":
            self._fail(stage)

    def _look(self, stage: StageRun) -> None:
        """Shows how far it is; gives up where nothing moves, however long the whole takes."""
        shown, now = self.display.refresh(), time.monotonic()
        if shown != self.shown:
            self.shown, self.moved_at = shown, now
        url = f"{self.api.base_url}/dags/{stage.name}"
        if stage.state in _FINAL:
            return
        if now - self.moved_at > self.stalled_s:
            raise CycleFailedError(
                f"{stage.name}: nothing has moved for {self.stalled_s / 60:.0f} minutes; it goes on"
                f" in Airflow: see {url}, and run this again to follow it"
            )
        if self.idle_since is not None and now - self.idle_since > _HANDOVER_S:
            raise CycleFailedError(
                f"{stage.name} was not started by the stage before it: see {url}; where it was"
                " paused meanwhile, run this again"
            )

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
            self._wait(stage)
            return
        self.idle_since = None
        run = self.api.run(stage.name, stage.run_id)
        stage.tasks = self.api.task_instances(stage.name, stage.run_id)
        if run["state"] == "success":
            stage.result = self._result(stage)
        if run["state"] in _FINAL:
            stage.end(run["state"])
        else:
            stage.state = run["state"]

    def _wait(self, stage: StageRun) -> None:
        """Says what a stage waits for: a run of its DAG that was there before, or a person."""
        if self.api.is_paused(stage.name):
            stage.state = "paused: unpause it in Airflow"
        elif earlier := _active(self.api, stage.name):
            tasks = self.api.task_instances(stage.name, earlier[-1])
            # Its tasks are looked at like our own: while it moves on, it is waited for.
            stage.tasks, stage.state = tasks, EARLIER
        else:
            stage.state = "waiting"
            self.idle_since = self.idle_since or time.monotonic()
            return
        self.idle_since = None

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
