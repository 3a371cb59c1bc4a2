"""Somebody who can write MLflow's records and files, against what the platform loads and serves."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from sqlalchemy import Engine, text

from guidealign.db import current_release
from guidealign.errors import BadInputError, GuidealignError, IntegrityError
from guidealign.promotion import (
    Note,
    adopt_library,
    decide_and_switch,
    promote_by_hand,
    reconcile,
    rollback,
)
from guidealign.records import LABRADOR_MODEL
from guidealign.registry import Registry
from guidealign.settings import GateSettings, Settings
from tests.fakes.mlflow_store import local_registry
from tests.integration.promotion_fixture import decide, empty_library, registered

ROOT = Path(__file__).resolve().parents[2]
_LINEAGE = text(
    "insert into core.model_lineage (model_name, version, base_model, library_version,"
    " library_digest, data_digest, settings, metrics)"
    " values (:model, :version, 'b', 1, 'd', 'd', '{}', '{}')"
)


@pytest.fixture
def parts(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The base is served; version 1 is registered and nothing more."""
    monkeypatch.setenv("GUIDEALIGN_HOME", str(tmp_path / "home"))
    empty_library(engine)
    with local_registry(tmp_path, engine) as registry:
        adopt_library(engine=engine, settings=Settings(), actor="test")
        assert registered(registry, tmp_path / "package") == 1
        yield {"engine": engine, "settings": Settings(), "registry": registry}


def _forged(registry: Registry, folder: Path) -> int:
    """A version as MLflow's own API makes one, with every tag that ours have."""
    return registered(Registry(registry.tracking_uri), folder)


def _live(engine: Engine) -> int:
    release = current_release(engine)
    assert release is not None
    return release.labrador_version


def _artifacts(registry: Registry, version: int) -> Path:
    client = MlflowClient(registry.tracking_uri)
    model_id = client.get_model_version(LABRADOR_MODEL, str(version)).tags["logged_model_id"]
    return Path(client.get_logged_model(model_id).artifact_location.removeprefix("file://"))


def _rewrite(folder: Path, files: dict[str, str]) -> str:
    content = json.dumps(files, indent=2, sort_keys=True)
    (folder / "guidealign_manifest.json").write_text(content)
    return hashlib.sha256(content.encode()).hexdigest()


def _swap(folder: Path) -> str:
    (folder / "weights.txt").write_text("mine")
    return _rewrite(folder, {"weights.txt": hashlib.sha256(b"mine").hexdigest()})


def _empty(folder: Path) -> str:
    (folder / "weights.txt").write_text("mine")
    return _rewrite(folder, {})


def _outside(folder: Path) -> str:
    (folder.parent / "passwd.txt").write_text("x")
    digest = hashlib.sha256(b"x").hexdigest()
    return _rewrite(folder, {"../passwd.txt": digest})


@pytest.mark.parametrize("change", [_swap, _empty, _outside])
def test_files_and_manifest_and_tag_changed_together_are_not_loaded(
    parts: Any, change: Callable[[Path], str]
) -> None:
    """The manifest agrees with the tag, which whoever changed it has written too."""
    registry = parts["registry"]
    digest = change(_artifacts(registry, 1))
    registry.set_version_tags(LABRADOR_MODEL, 1, {"manifest_sha256": digest})
    with pytest.raises(IntegrityError, match="not the one that was registered"):
        registry.fetch(LABRADOR_MODEL, 1)
    # Nor where the tag is all there is.
    if change is not _swap:
        with pytest.raises(IntegrityError):
            Registry(registry.tracking_uri).fetch(LABRADOR_MODEL, 1)


@pytest.mark.parametrize("name", ["more.txt", "pytorch_model.bin", "below/conftest.py"])
def test_a_file_beside_what_was_registered_is_not_loaded(parts: Any, name: str) -> None:
    registry = parts["registry"]
    folder = _artifacts(registry, 1)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("import os")
    with pytest.raises(IntegrityError, match="was not registered"):
        registry.fetch(LABRADOR_MODEL, 1)


def test_a_link_is_not_loaded(parts: Any, tmp_path: Path) -> None:
    registry = parts["registry"]
    folder = registry.fetch(LABRADOR_MODEL, 1)
    shutil.copy(folder / "weights.txt", tmp_path / "same.txt")
    (folder / "weights.txt").unlink()
    (folder / "weights.txt").symlink_to(tmp_path / "same.txt")
    with pytest.raises(IntegrityError, match="no plain file"):
        registry.download(LABRADOR_MODEL, 1)


@pytest.mark.parametrize("name", ["weights.bin", "weights.pkl", "setup.py", "weights"])
def test_what_may_run_code_is_not_even_registered(parts: Any, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / name).write_text("w")
    with pytest.raises(IntegrityError, match="may run code"):
        registered(parts["registry"], folder)


def test_a_version_that_postgres_does_not_know_is_neither_loaded_nor_served(
    parts: Any, tmp_path: Path
) -> None:
    engine, registry = parts["engine"], parts["registry"]
    version = _forged(registry, tmp_path / "forged")
    registry.set_version_tags(LABRADOR_MODEL, version, {"reload_checked": "yes", "key": "same"})
    with pytest.raises(IntegrityError, match="not registered by this installation"):
        registry.fetch(LABRADOR_MODEL, version)
    with pytest.raises(IntegrityError, match="not registered by this installation"):
        decide_and_switch(decide(engine, version)[0], actor="test", **parts)
    with pytest.raises(IntegrityError, match="not registered by this installation"):
        promote_by_hand(LABRADOR_MODEL, version, note=Note("test", "because"), **parts)
    # Nor does a training take it for its own.
    assert registry.find_version(LABRADOR_MODEL, {"key": "same"}) is None
    registry.set_alias(LABRADOR_MODEL, "champion", version)
    (refused,) = reconcile(**parts)
    assert refused.action == "refuse"
    assert _live(engine) == 0


def _without_gate(_engine: Engine) -> None:
    pass


def _held(engine: Engine) -> None:
    decide(engine, 1, "hold")


def _done_already(engine: Engine) -> None:
    decided, _ = decide(engine, 1)
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into core.promotions (model_name, action, from_version, to_version,"
                " gate_decision_id, actor, reason) values (:m, 'hold', 0, 1, :d, 'ada', 'no')"
            ),
            {"m": LABRADOR_MODEL, "d": decided},
        )


@pytest.mark.parametrize("said", [_without_gate, _held, _done_already])
def test_who_moves_an_alias_does_not_promote(parts: Any, said: Callable[[Engine], None]) -> None:
    engine, registry = parts["engine"], parts["registry"]
    with engine.begin() as connection:
        connection.execute(_LINEAGE, {"model": LABRADOR_MODEL, "version": 1})
    said(engine)
    registry.set_alias(LABRADOR_MODEL, "champion", 1)
    (refused,) = reconcile(**parts)
    assert (refused.action, refused.to_version) == ("refuse", 1)
    assert "no gate has just passed it" in refused.reason
    assert registry.alias_version(LABRADOR_MODEL, "champion") is None
    assert _live(engine) == 0


def test_a_version_that_was_never_read_back_is_not_followed(parts: Any) -> None:
    decide(parts["engine"], 1)
    parts["registry"].set_alias(LABRADOR_MODEL, "champion", 1)
    (refused,) = reconcile(**parts)
    assert refused.action == "refuse"
    with parts["engine"].begin() as connection:
        connection.execute(_LINEAGE, {"model": LABRADOR_MODEL, "version": 1})
    parts["registry"].set_alias(LABRADOR_MODEL, "champion", 1)
    (followed,) = reconcile(**parts)
    assert (followed.action, _live(parts["engine"])) == ("promote", 1)
    # Once: after a roll back the alias alone does not bring it back.
    rollback(LABRADOR_MODEL, actor="test", reason="worse", **parts)
    parts["registry"].set_alias(LABRADOR_MODEL, "champion", 1)
    (refused,) = reconcile(**parts)
    assert (refused.action, _live(parts["engine"])) == ("refuse", 0)


def test_where_people_approve_an_alias_is_nobodys_word(parts: Any) -> None:
    with parts["engine"].begin() as connection:
        connection.execute(_LINEAGE, {"model": LABRADOR_MODEL, "version": 1})
    decide(parts["engine"], 1)
    parts["registry"].set_alias(LABRADOR_MODEL, "champion", 1)
    asked = Settings(gates=GateSettings(approvers=["ada"]))
    (refused,) = reconcile(**{**parts, "settings": asked})
    assert refused.action == "refuse"
    assert "it waits for ada" in refused.reason


def test_taking_the_alias_away_does_not_turn_the_model_off(parts: Any) -> None:
    engine, registry = parts["engine"], parts["registry"]
    decide_and_switch(decide(engine, 1)[0], actor="test", **parts)
    assert _live(engine) == 1
    registry.delete_alias(LABRADOR_MODEL, "champion")
    (refused,) = reconcile(**parts)
    assert refused.action == "refuse"
    assert registry.alias_version(LABRADOR_MODEL, "champion") == _live(engine) == 1


def test_a_roll_back_does_not_lead_to_a_version_that_was_never_served(
    parts: Any, tmp_path: Path
) -> None:
    engine, registry = parts["engine"], parts["registry"]
    decide_and_switch(decide(engine, 1)[0], actor="test", **parts)
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "weights.txt").write_text("2")
    second = registered(registry, tmp_path / "second")
    registry.set_alias(LABRADOR_MODEL, "previous", second)
    with pytest.raises(BadInputError, match="never served"):
        rollback(LABRADOR_MODEL, actor="test", reason="worse", **parts)
    assert _live(engine) == 1


def test_the_pin_of_a_version_stays(parts: Any) -> None:
    with pytest.raises(GuidealignError, match="registered before with other files"):
        parts["registry"]._pins.pin(LABRADOR_MODEL, 1, "0" * 64)
    with pytest.raises(Exception, match="append-only"), parts["engine"].begin() as connection:
        connection.execute(text("update core.model_versions set manifest_sha256 = repeat('0', 64)"))


def test_no_part_of_the_product_loads_without_pins() -> None:
    """`Registry(...)` takes MLflow's word: only what loads nothing of it may be made so."""
    bare = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for folder in ("guidealign", "plugins", "dags")
        for file in (ROOT / folder).rglob("*.py")
        for line in file.read_text().splitlines()
        if re.search(r"(?<![\w.])Registry\(", line)
    ]
    assert len(bare) == 1, bare
    assert "UNTRAINED_VERSION" in bare[0]
