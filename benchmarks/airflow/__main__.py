"""DAG files parsed, pages answered, what the scheduler adds; `--part` measures one anew."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks._harness.parts import run_parts, with_postgres
from benchmarks._harness.report import ROOT, Figure
from benchmarks.airflow.cycle import measure_orchestration
from benchmarks.airflow.pages import measure_pages

_PARSE = """
import sys, time
import airflow.sdk
from airflow.dag_processing.dagbag import DagBag
begun = time.perf_counter()
bag = DagBag(dag_folder=sys.argv[1], bundle_name="bench")
assert bag.dags and not bag.import_errors
print("seconds", time.perf_counter() - begun)
"""
_LIMIT_S = 1.0


def _parse_seconds(file: Path, home: str) -> float:
    env = os.environ | {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}",
    }
    done = subprocess.run(
        [sys.executable, "-c", _PARSE, str(file)],
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    last = next(line for line in done.stdout.splitlines() if line.startswith("seconds"))
    return float(last.split()[1])


def _measure_parse(full: bool) -> list[Figure]:
    rounds = 5 if full else 1
    figures = []
    with tempfile.TemporaryDirectory() as home:
        for file in sorted((ROOT / "dags").glob("*.py")):
            seconds = [_parse_seconds(file, home) for _ in range(rounds)]
            median = statistics.median(seconds)
            figures.append(
                Figure(
                    figure=f"parse: {file.name}",
                    value=median,
                    unit="s, median",
                    n=rounds,
                    target="< 1",
                    met=median < _LIMIT_S,
                )
            )
    return figures


if __name__ == "__main__":
    run_parts(
        "airflow",
        {
            "parse": _measure_parse,
            "pages": with_postgres(measure_pages),
            "orchestration": measure_orchestration,
        },
    )
