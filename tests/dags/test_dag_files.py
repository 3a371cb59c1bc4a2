"""The DAG files: they parse, parse fast and light, and hold to the conventions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DAG_FILES = sorted((ROOT / "dags").glob("*.py"))
HEAVY = {"torch", "transformers", "mlflow", "sentence_transformers", "peft", "openai", "pyarrow"}

# Parses one file after Airflow itself is loaded, as the dag-processor does, and tells what
# that took and brought in.
_PARSE = """
import json, sys, time
import airflow.sdk
from airflow.dag_processing.dagbag import DagBag
begun = time.perf_counter()
bag = DagBag(dag_folder=sys.argv[1], bundle_name="test")
dags = [{
    "id": dag.dag_id,
    "doc": bool(dag.doc_md),
    "tags": sorted(dag.tags),
    "owners": sorted({task.owner for task in dag.tasks}),
    "retries": min(task.retries for task in dag.tasks),
    "deadline_min": dag.deadline[0].interval.total_seconds() / 60 if dag.deadline else None,
    "documented": all(task.doc_md for task in dag.tasks),
    "policies": all(task.retry_policy is not None for task in dag.tasks),
    "active_runs": dag.max_active_runs,
    "inlets": sorted(
        asset.name for asset in getattr(dag.timetable, "asset_condition", None).objects
    ) if getattr(dag.timetable, "asset_condition", None) else [],
    "schedule": str(dag.schedule),
    "params": dag.params.dump(),
    "outlets": sorted(o.name for task in dag.tasks for o in task.outlets),
} for dag in bag.dags.values()]
print(json.dumps({
    "seconds": time.perf_counter() - begun,
    "errors": {k: str(v) for k, v in bag.import_errors.items()},
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    "dags": dags,
}))
"""


def _parse(file: Path, home: Path, **settings: str) -> dict:
    env = os.environ | {
        "AIRFLOW_HOME": str(home),
        "GUIDEALIGN_HOME": str(home / "guidealign"),
        "GUIDEALIGN_AIRFLOW__DEADLINES": "true",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__DAG_PROCESSOR__DAG_VERSION_INFLATION_CHECK_LEVEL": "error",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}",
    }
    done = subprocess.run(
        [sys.executable, "-c", _PARSE, str(file)],
        env=env | settings,
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    home = tmp_path_factory.mktemp("airflow")
    return {file.name: _parse(file, home) for file in DAG_FILES}


def test_every_file_holds_one_dag_without_error(parsed: dict[str, dict]) -> None:
    assert len(parsed) == 11
    for name, found in parsed.items():
        assert found["errors"] == {}, name
        assert [dag["id"] for dag in found["dags"]] == [name.removesuffix(".py")]


def test_parsing_brings_in_nothing_heavy(parsed: dict[str, dict]) -> None:
    for name, found in parsed.items():
        assert not HEAVY & set(found["modules"]), name


def test_conventions(parsed: dict[str, dict]) -> None:
    for found in parsed.values():
        dag = found["dags"][0]
        assert dag["doc"]
        assert "guidealign" in dag["tags"]
        assert dag["owners"] == ["guidealign"]
        assert dag["retries"] >= 1 or dag["id"] == "guidealign_rollback"
        assert dag["policies"]
        assert dag["documented"]
        assert dag["deadline_min"]
        assert dag["active_runs"] == 1


def test_stages_are_chained_by_assets(parsed: dict[str, dict]) -> None:
    dags = {name.removesuffix(".py"): found["dags"][0] for name, found in parsed.items()}
    chain = ["ingest", "author", "library", "retriever", "align", "labrador"]
    assert dags["guidealign_ingest"]["inlets"] == []
    for before, after in pairwise(chain):
        outlets = dags[f"guidealign_{before}"]["outlets"]
        assert len(outlets) == 1
        assert dags[f"guidealign_{after}"]["inlets"] == outlets


def test_ingest_follows_schedule_and_source_of_the_settings(
    parsed: dict[str, dict], tmp_path: Path
) -> None:
    (unset,) = parsed["guidealign_ingest.py"]["dags"]
    assert unset["params"]["path"] == unset["params"]["query"] == ""
    (given,) = _parse(
        ROOT / "dags" / "guidealign_ingest.py",
        tmp_path,
        GUIDEALIGN_INGEST__SCHEDULE="15 * * * *",
        GUIDEALIGN_INGEST__SOURCE__CONN_ID="warehouse",
        GUIDEALIGN_INGEST__SOURCE__QUERY="select 1",
    )["dags"]
    assert given["schedule"] == "15 * * * *" != unset["schedule"]
    assert (given["params"]["conn_id"], given["params"]["query"]) == ("warehouse", "select 1")


def test_ingest_and_authoring_watch_only_when_they_are_told_to(
    parsed: dict[str, dict], tmp_path: Path
) -> None:
    for name in ("ingest", "author"):
        file = ROOT / "dags" / f"guidealign_{name}.py"
        (watching,) = _parse(file, tmp_path, GUIDEALIGN_INGEST__WATCH="true")["dags"]
        (unset,) = parsed[file.name]["dags"]
        waiting = {"guidealign_inbox"} if name == "ingest" else {"guidealign_waiting_inputs"}
        assert set(watching["inlets"]) == set(unset["inlets"]) | waiting
    (both,) = _parse(
        ROOT / "dags" / "guidealign_ingest.py",
        tmp_path,
        GUIDEALIGN_INGEST__WATCH="true",
        GUIDEALIGN_INGEST__SCHEDULE="@hourly",
    )["dags"]
    assert both["inlets"] == ["guidealign_inbox"]


def test_partitions_are_hours_or_days(tmp_path: Path) -> None:
    file = ROOT / "dags" / "guidealign_ingest_partitions.py"
    for partition, cron in (("hour", "0 * * * *"), ("day", "0 0 * * *")):
        (dag,) = _parse(file, tmp_path, GUIDEALIGN_INGEST__PARTITION=partition)["dags"]
        assert f"expression='{cron}'" in dag["schedule"]


def test_deadlines_follow_the_settings(parsed: dict[str, dict], tmp_path: Path) -> None:
    file = ROOT / "dags" / "guidealign_author.py"
    assert parsed[file.name]["dags"][0]["deadline_min"] == 720
    (none,) = _parse(file, tmp_path, GUIDEALIGN_AIRFLOW__DEADLINES_MIN__AUTHOR="0")["dags"]
    assert none["deadline_min"] is None


def test_author_takes_its_budget_from_the_settings(parsed: dict[str, dict], tmp_path: Path) -> None:
    (unset,) = parsed["guidealign_author.py"]["dags"]
    assert unset["params"] == {"max_requests": None, "max_tokens": None, "max_cost_usd": None}
    (given,) = _parse(
        ROOT / "dags" / "guidealign_author.py",
        tmp_path,
        GUIDEALIGN_AUTHOR__BUDGET__MAX_REQUESTS="500",
        GUIDEALIGN_AUTHOR__BUDGET__MAX_COST_USD="2.5",
    )["dags"]
    assert given["params"] == {"max_requests": 500, "max_tokens": None, "max_cost_usd": 2.5}


def test_grown_inputs_wake_authoring_and_wait_for_nothing(parsed: dict[str, dict]) -> None:
    (augment,) = parsed["guidealign_augment.py"]["dags"]
    assert augment["inlets"] == []
    assert augment["outlets"] == parsed["guidealign_author.py"]["dags"][0]["inlets"]


def test_augment_asks_for_what_the_settings_say(parsed: dict[str, dict], tmp_path: Path) -> None:
    (unset,) = parsed["guidealign_augment.py"]["dags"]
    assert unset["params"] == {"categories": [], "target": 100}
    (given,) = _parse(
        ROOT / "dags" / "guidealign_augment.py", tmp_path, GUIDEALIGN_AUGMENT__TARGET_INPUTS="7"
    )["dags"]
    assert given["params"]["target"] == 7
