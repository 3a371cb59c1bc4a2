"""A scoring that was killed goes on at its last stored cases: real Postgres, a tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from guidealign.evaluation import score_labrador
from guidealign.records import LABRADOR_MODEL
from guidealign.registry import Registry
from guidealign.settings import GateSettings, LabradorSettings, Settings
from tests.fakes.mlflow_store import local_registry
from tests.fakes.tiny_model import write_tiny_model

N = 20


class KilledError(Exception):
    """In place of a signal."""


@pytest.fixture
def parts(engine: Engine, tmp_path: Path) -> dict[str, Any]:
    write_tiny_model(tmp_path / "tiny")
    settings = Settings(
        labrador=LabradorSettings(base_model=str(tmp_path / "tiny")),
        gates=GateSettings(labrador_cases=N),
    )
    with local_registry(tmp_path) as registry:
        assert isinstance(registry, Registry)
        return {"engine": engine, "settings": settings, "registry": registry}


def _stored(engine: Engine) -> dict[str, float]:
    query = text(
        "select case_id, value from core.benchmark_results where model_name = :model"
        " and version = 0"
    )
    with engine.connect() as connection:
        return {r.case_id: r.value for r in connection.execute(query, {"model": LABRADOR_MODEL})}


def test_what_was_scored_before_a_kill_is_not_scored_again(parts: dict[str, Any]) -> None:
    def die(done: int, _of: int) -> None:
        if done == 13:
            raise KilledError

    with pytest.raises(KilledError):
        score_labrador(0, progress=die, **parts)
    before = _stored(parts["engine"])
    assert 0 < len(before) < 13

    told: list[tuple[int, int]] = []
    run = score_labrador(0, progress=lambda *now: told.append(now), **parts)
    assert told == [(done, N) for done in range(len(before) + 1, N + 1)]
    after = _stored(parts["engine"])
    assert len(after) == len(run.scores) == N
    assert before.items() <= after.items()
    assert score_labrador(0, progress=lambda *_: pytest.fail("again"), **parts) == run
