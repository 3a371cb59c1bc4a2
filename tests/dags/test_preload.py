"""What the scheduler imports before its workers are forked, told by Airflow's own listeners."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.airflow_home import airflow_env

_START = """
import sys
sys.argv = ["airflow", sys.argv[1]]
from airflow.listeners.listener import get_listener_manager
get_listener_manager().hook.on_starting(component=object())
print("imported:", "scipy.stats" in sys.modules)
"""


@pytest.mark.parametrize(("command", "imported"), [("scheduler", True), ("triggerer", False)])
def test_the_scheduler_alone_imports_what_its_tasks_need(
    tmp_path: Path, command: str, imported: bool
) -> None:
    env = airflow_env(tmp_path) | {
        "GUIDEALIGN_AIRFLOW__PRELOAD": '["no_such_module", "scipy.stats"]',
    }
    done = subprocess.run(
        [sys.executable, "-c", _START, command],
        env=env, check=True, capture_output=True, text=True,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert f"imported: {imported}" in done.stdout
    # What is missing is told, and stops neither the scheduler nor the other imports.
    assert ("no_such_module" in said) is imported


def test_the_scheduler_says_in_a_line_that_the_settings_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "guidealign.toml").write_text("[airflow]\npreloads = []\n")
    done = subprocess.run(
        [sys.executable, "-c", _START, "scheduler"],
        env=airflow_env(tmp_path) | {"GUIDEALIGN_HOME": str(tmp_path)},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert "unknown setting airflow.preloads: did you mean airflow.preload?" in said
    assert "ConfigurationError" not in said  # no traceback of ours
