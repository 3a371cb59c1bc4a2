"""`make run` on a home folder of its own: minutes, memory, and what the gates measured."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import psycopg
from dotenv import dotenv_values

from benchmarks._harness.report import ROOT, Figure, publish, scale_of_command_line
from benchmarks.cycle.small import SMALL

_MAX_MINUTES = 20.0
_MAX_GIB = 14.0


class _MemoryWatch(threading.Thread):
    """The machine's peak of used memory over what was used before, in GiB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_gib = 0.0
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.5):
            memory = psutil.virtual_memory()
            self.peak_gib = max(self.peak_gib, (memory.total - memory.available) / 2**30)

    def end(self) -> None:
        self._ended.set()
        self.join()


def _guidealign(env: dict[str, str], *arguments: str) -> float:
    begun = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "guidealign.cli", *arguments], env=env, check=True, cwd=ROOT
    )
    return (time.monotonic() - begun) / 60


def _gate_figures(home: Path) -> list[Figure]:
    url = dotenv_values(home / "run" / "platform.env")["GUIDEALIGN_DATABASE_URL"] or ""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        rows = connection.execute(
            'select model_name, "check", outcome, n, champion_mean, challenger_mean, difference,'
            " ci_low, ci_high, power from library.gate_history order by id"
        ).fetchall()
        metrics = connection.execute(
            "select model_name, version, metric, avg(value), count(value)"
            " from core.benchmark_results group by 1, 2, 3 order by 1, 2"
        ).fetchall()
    figures = [
        Figure(
            figure=f"{model}: {check}",
            value=difference,
            unit="challenger minus champion",
            n=n,
            note=f"{outcome}; [{low:+.3f}, {high:+.3f}], power {power:.2f};"
            f" {champion:+.3f} to {challenger:+.3f}",
        )
        for model, check, outcome, n, champion, challenger, difference, low, high, power in rows
        if difference is not None
    ]
    figures += [
        Figure(figure=f"{model} {number}: {metric}", value=value, unit="mean", n=n)
        for model, number, metric, value, n in metrics
    ]
    return figures


def main() -> None:
    scale = scale_of_command_line()
    watch = _MemoryWatch()
    with tempfile.TemporaryDirectory(prefix="guidealign-bench-") as folder:
        home = Path(folder) / "home"
        env = os.environ | {"GUIDEALIGN_HOME": str(home)} | (SMALL if scale == "small" else {})
        watch.start()
        try:
            first = _guidealign(env, "run", "--quickstart")
            second = _guidealign(env, "run")
            watch.end()
            figures = _gate_figures(home)
        finally:
            _guidealign(env, "down")
    bound = scale == "full"
    figures = [
        Figure(
            figure="first cycle, platform start included",
            value=first,
            unit="min",
            n=1,
            target=f"<= {_MAX_MINUTES:.0f}" if bound else "",
            met=first <= _MAX_MINUTES if bound else None,
        ),
        Figure(figure="second cycle, nothing new", value=second, unit="min", n=1),
        Figure(
            figure="peak memory of the whole machine",
            value=watch.peak_gib,
            unit="GiB",
            n=1,
            target=f"< {_MAX_GIB:.0f}" if bound else "",
            met=watch.peak_gib < _MAX_GIB if bound else None,
        ),
        *figures,
    ]
    publish("cycle", scale, figures)


if __name__ == "__main__":
    main()
