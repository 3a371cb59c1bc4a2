"""A version that a person promotes: in the ledger with the word, the verdict and the name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from guidealign.db import current_release
from guidealign.errors import BadInputError
from guidealign.library import install_starter
from guidealign.promotion import Note, adopt_library, promote_by_hand, recent_moves, rollback
from guidealign.records import LABRADOR_MODEL
from guidealign.registry import Registry
from guidealign.retriever import embed_library
from guidealign.settings import Settings
from tests.fakes.mlflow_store import local_registry
from tests.integration.library_fixture import write_starter


@pytest.fixture
def parts(engine: Engine, tmp_path: Path) -> Iterator[dict[str, Any]]:
    settings = Settings()
    write_starter(tmp_path / "starter")
    install_starter(engine=engine, settings=settings, folder=tmp_path / "starter")
    with local_registry(tmp_path) as registry:
        found = {"engine": engine, "settings": settings, "registry": registry}
        embed_library(0, **found)
        adopt_library(engine=engine, settings=settings, actor="test")
        yield found


def _register(registry: Registry, folder: Path, checked: str) -> int:
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    with registry.run("test", "t", tags={}) as run:
        return registry.register(
            LABRADOR_MODEL, folder, run, tags={"reload_checked": checked}, description="test"
        )


def _judge(engine: Engine, version: int, verdict: str) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into core.gate_decisions (model_name, challenger_version,"
                " champion_version, verdict, reason, policy, evidence, evaluator, input_digest)"
                " values (:model, :version, 0, :verdict, 'r', '{}', '[]', 'e', 'd')"
            ),
            {"model": LABRADOR_MODEL, "version": version, "verdict": verdict},
        )


def test_a_person_promotes_what_the_gate_held(parts: dict[str, Any], tmp_path: Path) -> None:
    registry, engine = parts["registry"], parts["engine"]
    version = _register(registry, tmp_path / "model", "yes")
    _judge(engine, version, "inconclusive")
    note = Note("cli:ann", "read 50 answers")
    done = promote_by_hand(LABRADOR_MODEL, version, note=note, **parts)
    assert (done.action, done.from_version, done.to_version) == ("promote", 0, version)
    live = current_release(engine)
    assert live is not None
    assert live.labrador_version == version
    assert registry.alias_version(LABRADOR_MODEL, "champion") == version
    (move,) = recent_moves(engine=engine)
    assert (move.actor, move.reason) == (
        "cli:ann",
        "read 50 answers (by hand, the gate said inconclusive)",
    )
    with pytest.raises(BadInputError, match="live already"):
        promote_by_hand(LABRADOR_MODEL, version, note=note, **parts)
    # And back, as after any promotion.
    assert rollback(LABRADOR_MODEL, actor="a", reason="r", **parts).to_version == 0


def test_what_cannot_be_vouched_for_is_refused(parts: dict[str, Any], tmp_path: Path) -> None:
    registry, engine = parts["registry"], parts["engine"]
    failed = _register(registry, tmp_path / "failed", "failed")
    for model, version, reason, said in (
        ("guidealign-mouse", 1, "r", "no model 'guidealign-mouse'"),
        (LABRADOR_MODEL, failed, " ", "needs a reason"),
        (LABRADOR_MODEL, failed, "r", r"reload_checked: failed"),
        (LABRADOR_MODEL, 99, "r", "MLflow does not know it"),
    ):
        with pytest.raises(BadInputError, match=said):
            promote_by_hand(model, version, note=Note("a", reason), **parts)
    assert recent_moves(engine=engine) == []
    assert registry.alias_version(LABRADOR_MODEL, "champion") is None
