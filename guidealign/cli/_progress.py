"""The live display of a cycle: a table in a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
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
