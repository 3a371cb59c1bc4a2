"""Live displays: of a cycle a table, of counted work a bar; plain lines where nobody watches."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from guidealign.cli._stages import StageRun

_MARKS = {
    "waiting": "[dim]waiting[/dim]",
    "queued": "[yellow]queued[/yellow]",
    "running": "[cyan]running[/cyan]",
    "success": "[green]done[/green]",
    "failed": "[red]failed[/red]",
}


class CycleDisplay:
    """Shows stages, tasks and elapsed time while a cycle runs."""

    def __init__(self, stages: list[StageRun], console: Console) -> None:
        self._stages = stages
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._said: dict[str, str] = {}

    def __enter__(self) -> Self:
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.update(self._table(), refresh=True)
            self._live.__exit__(kind, error, trace)

    def refresh(self) -> None:
        """Shows what has changed."""
        if self._live:
            self._live.update(self._table(), refresh=True)
            return
        for stage in self._stages:
            line = f"{stage.dag_id}: {stage.state}{_plain_tasks(stage)}"
            if stage.run_id and self._said.get(stage.dag_id) != line:
                self._said[stage.dag_id] = line
                self._console.print(
                    f"[{stage.elapsed_s:6.0f} s] {line}",
                    markup=False,
                    highlight=False,
                    soft_wrap=True,
                )

    def show_log(self, title: str, lines: list[str]) -> None:
        """Prints the end of a failed task's log."""
        self._console.rule(f"last lines of {title}")
        for line in lines:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _table(self) -> Table:
        table = Table("stage", "state", "tasks", "now", "elapsed", title="guidealign cycle")
        for stage in self._stages:
            done = sum(task["state"] == "success" for task in stage.tasks)
            running = [t["task_id"] for t in stage.tasks if t["state"] == "running"]
            names = ", ".join(f"{n} x{k}" if k > 1 else n for n, k in Counter(running).items())
            table.add_row(
                stage.dag_id.removeprefix("guidealign_"),
                _MARKS.get(stage.state, stage.state),
                f"{done}/{len(stage.tasks)}" if stage.tasks else "",
                names,
                f"{stage.elapsed_s:.0f} s" if stage.run_id else "",
            )
        return table


def _plain_tasks(stage: StageRun) -> str:
    states = Counter(f"{t['task_id']} {t['state'] or 'waiting'}" for t in stage.tasks)
    parts = [f"{name} x{n}" if n > 1 else name for name, n in sorted(states.items())]
    return f" ({', '.join(parts)})" if parts else ""


@contextmanager
def counted() -> Iterator[Callable[[str, int, int], object]]:
    """Told a phase, what is done and what there is: a bar with the time left, on stderr.

    Where no terminal is, a line now and then says the same.
    """
    watched = Console(stderr=True)
    if not watched.is_terminal:
        # Of the evaluation room, and only where it is needed.
        from guidealign.evaluation import Pace

        yield Pace(lambda line: sys.stderr.write(line + "\n"))
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    left = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, *left, console=watched, transient=True) as bar:
        phases: dict[str, Any] = {}

        def report(phase: str, done: int, total: int) -> None:
            if phase not in phases:
                # What was done before says nothing about the pace.
                phases[phase] = bar.add_task(phase, total=total, completed=done)
            bar.update(phases[phase], completed=done)

        yield report
