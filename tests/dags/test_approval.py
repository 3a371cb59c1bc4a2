"""People are asked before a promotion, under a real scheduler, and what they say is done."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from guidealign.db import make_engine
from guidealign.promotion import Approval, follow_judgement
from guidealign.records import LABRADOR_MODEL
from guidealign.registry import Registry
from guidealign.settings import GateSettings, Settings
from tests.dags.running_airflow import RunningAirflow
from tests.e2e.conftest import wait_until
from tests.fakes.mlflow_store import local_registry
from tests.integration.promotion_fixture import REASON, decide, empty_library, registered


def _judged(engine: Engine, challenger: int, verdict: str = "promote") -> dict[str, Any]:
    """A gate's decision about a version, against what is live."""
    decision_id, champion = decide(engine, challenger, verdict)
    return {
        "decision_id": decision_id,
        "model_name": LABRADOR_MODEL,
        "challenger_version": challenger,
        "champion_version": champion,
        "verdict": verdict,
        "reason": REASON,
    }


def _moves(engine: Engine) -> list[tuple[str, int, str]]:
    with engine.connect() as connection:
        rows = connection.execute(
            text("select action, to_version, reason from core.promotions order by id")
        )
        return [tuple(row) for row in rows]


@pytest.fixture
def parts(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("GUIDEALIGN_HOME", str(tmp_path))
    empty_library(engine)
    with local_registry(tmp_path) as registry:
        settings = Settings(gates=GateSettings(approvers=["ada", "grace"]))
        yield {"engine": engine, "settings": settings, "registry": registry, "actor": "test"}


@pytest.mark.parametrize(
    ("approval", "why"),
    [
        (None, "better by 0.2 (it waits for ada, grace: no answer was asked for"),
        (Approval(granted=False, by="ada", reason="too early"), "held by ada: too early"),
        (Approval(granted=False, by=None), "nobody answered in time"),
        # A default that says yes is nobody's word.
        (Approval(granted=True, by=None), "nobody answered in time"),
    ],
)
def test_without_a_named_persons_yes_nothing_moves(
    parts: Any, tmp_path: Path, approval: Approval | None, why: str
) -> None:
    version = registered(parts["registry"], tmp_path / "package")
    judged = _judged(parts["engine"], version)
    done = follow_judgement(judged, approval=approval, **parts)
    assert done.action == "hold"
    ((action, to_version, reason),) = _moves(parts["engine"])
    assert (action, to_version) == ("hold", version)
    assert why in reason
    assert parts["registry"].alias_version(LABRADOR_MODEL, "champion") is None


def test_a_named_persons_yes_promotes_once(parts: Any, tmp_path: Path) -> None:
    version = registered(parts["registry"], tmp_path / "package")
    judged = _judged(parts["engine"], version)
    yes = Approval(granted=True, by="ada", reason="looked at it")
    done = follow_judgement(judged, approval=yes, **parts)
    assert (done.action, done.reason) == (
        "promote",
        "better by 0.2 (approved by ada: looked at it)",
    )
    later = follow_judgement(judged, approval=Approval(granted=False, by="grace"), **parts)
    assert later == done
    assert len(_moves(parts["engine"])) == 1


class _Asked:
    """The running Airflow, and who says what in it."""

    def __init__(self, airflow: RunningAirflow, engine: Engine) -> None:
        self.airflow, self.engine = airflow, engine
        self.base = airflow.env["AIRFLOW__API__BASE_URL"]
        self.registry = Registry(airflow.env["GUIDEALIGN_MLFLOW__TRACKING_URI"])

    def start(self, dag_id: str, judged: dict[str, Any]) -> str:
        self.airflow.wait_for_dag(dag_id)
        return self.airflow.api.trigger(dag_id, {"judged": judged})

    def state(self, dag_id: str, run_id: str, task_id: str) -> str | None:
        tasks = self.airflow.api.task_instances(dag_id, run_id)
        return next(task["state"] for task in tasks if task["task_id"] == task_id)

    def answer(self, user: str, run_id: str, option: str, reason: str) -> httpx.Response:
        token = httpx.post(
            f"{self.base}/auth/token", json={"username": user, "password": user}, timeout=30
        ).json()["access_token"]
        return httpx.patch(
            f"{self.base}/api/v2/dags/asking/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails",
            json={"chosen_options": [option], "params_input": {"reason": reason}},
            headers={"authorization": f"Bearer {token}"},
            timeout=30,
        )

    def waits(self, run_id: str) -> None:
        wait_until(
            lambda: self.state("asking", run_id, "approve") == "awaiting_input", 120, "question"
        )
        # An answer that comes before the scheduler has heard that the worker is done makes Airflow
        # 3.3 take the task for one that was killed. A busy machine takes seconds to hear it.
        heard = re.compile(
            rf"TaskInstance Finished: .*task_id=approve, run_id={re.escape(run_id)},"
        )
        wait_until(
            lambda: heard.search(self.airflow.log.read_text(errors="replace")) is not None,
            120,
            "the scheduler's word that the worker is done",
        )

    def succeeds(self, dag_id: str, run_id: str) -> None:
        wait_until(
            lambda: self.airflow.api.run(dag_id, run_id)["state"] in {"success", "failed"},
            120,
            "the run's end",
        )
        tasks = self.airflow.api.task_instances(dag_id, run_id)
        told = [
            line
            for line in self.airflow.log.read_text(errors="replace").splitlines()
            if run_id in line
        ]
        assert self.airflow.api.run(dag_id, run_id)["state"] == "success", (
            [(task["task_id"], task["state"]) for task in tasks],
            told[-20:],
        )


@pytest.fixture(scope="module")
def asked(
    airflow: RunningAirflow, databases: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> _Asked:
    engine = make_engine(databases[1])
    empty_library(engine)
    with local_registry(Path(airflow.env["AIRFLOW_HOME"]), engine) as registry:
        for name in "ab":
            registered(registry, tmp_path_factory.mktemp("package") / name)
    return _Asked(airflow, engine)


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_only_who_is_named_answers_and_the_switch_does_it(asked: _Asked) -> None:
    run_id = asked.start("asking", _judged(asked.engine, 1))
    asked.waits(run_id)
    assert asked.answer("eve", run_id, "Promote", "mine").status_code == 403
    assert _moves(asked.engine) == []
    given = asked.answer("ada", run_id, "Promote", "looked at it")
    assert given.status_code == 200, given.text
    asked.succeeds("asking", run_id)
    assert _moves(asked.engine) == [("promote", 1, "better by 0.2 (approved by ada: looked at it)")]
    assert asked.registry.alias_version(LABRADOR_MODEL, "champion") == 1


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_a_no_and_no_answer_hold_and_a_gates_hold_asks_nobody(asked: _Asked) -> None:
    before = len(_moves(asked.engine))
    run_id = asked.start("asking", _judged(asked.engine, 2))
    asked.waits(run_id)
    assert asked.answer("ada", run_id, "Hold", "not on a Friday").status_code == 200
    asked.succeeds("asking", run_id)
    late = asked.start("asking_in_vain", _judged(asked.engine, 2))
    asked.succeeds("asking_in_vain", late)
    held = asked.start("asking", _judged(asked.engine, 2, "hold"))
    asked.succeeds("asking", held)
    assert _moves(asked.engine)[before:] == [
        ("hold", 2, "better by 0.2 (held by ada: not on a Friday)"),
        ("hold", 2, "better by 0.2 (nobody answered in time)"),
        ("hold", 2, "better by 0.2"),
    ]
