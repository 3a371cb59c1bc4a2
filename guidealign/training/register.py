"""Trains a version once, registers it, and lets it count only once its files were read back."""

from __future__ import annotations

import gc
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Engine

from guidealign.db import guard_database
from guidealign.errors import ConfigurationError, IntegrityError
from guidealign.registry import Interface, Registry, Run
from guidealign.settings import home_folder
from guidealign.training import store
from guidealign.training.checkpoint import Checkpoint

_CHALLENGER = "challenger"
_CHECKED = "reload_checked"
"""Tag of a version: `no` until its files were compared, then `yes`, or `failed`."""
_FIGURES_FILE = "training.json"
"""In a package: who finishes a version need not be who trained it."""


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """A registered version; `reused`: it was there, and nothing was trained."""

    version: int
    reused: bool
    metrics: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler's metadata."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class LineageRow:
    """What a version was made from, as the database keeps it."""

    base_model: str
    library_version: int
    data_digest: str
    settings: Mapping[str, Any]
    dataset_id: int | None = None
    retriever_version: int | None = None


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training made, beside the package it wrote."""

    metrics: dict[str, float]
    tags: Mapping[str, str] = field(default_factory=dict)
    """Of the version alone; those of the recipe are the run's too."""
    interface: Interface | None = None


class Recipe(Protocol):
    """What a version is made from, how it is trained, and how its files are checked."""

    @property
    def model_name(self) -> str:
        """Of the registered model; also the name of its experiment."""

    @property
    def description(self) -> str:
        """Of a version, for people."""

    @property
    def settings_key(self) -> str:
        """SHA-256 (hex) over data, base and settings: equal keys, equal models."""

    def lineage(self) -> LineageRow:
        """For the database."""

    def tags(self) -> dict[str, str]:
        """Of run and version."""

    def train(self, run: Run, folder: Path) -> Trained:
        """Trains, logs to the run, and writes the package."""

    def check_reload(self, folder: Path) -> float:
        """Largest difference between a loaded package and the model in memory.

        Raises:
            IntegrityError: it is too large, or the package holds nothing to compare with.
        """


def register_once(recipe: Recipe, *, engine: Engine, registry: Registry) -> TrainResult:
    """Trains and registers what the recipe says, unless a version of it is there.

    A version that was registered and not yet checked, because its process died in between, is
    checked and finished; nothing is trained again.

    Raises:
        IntegrityError: training learned nothing, or the registered files are another model.
        ServiceUnavailableError: the database or the registry does not answer.
    """
    key = {"settings_key": recipe.settings_key}
    version = registry.find_version(recipe.model_name, {**key, _CHECKED: "yes"})
    if version is not None:
        with guard_database(), engine.connect() as connection:
            metrics = store.lineage_metrics(connection, recipe.model_name, version)
        return TrainResult(version=version, reused=True, metrics=metrics)
    unchecked = registry.find_version(recipe.model_name, {**key, _CHECKED: "no"})
    version = _train(recipe, key, registry) if unchecked is None else unchecked
    metrics = _finish(recipe, version, engine, registry)
    return TrainResult(version=version, reused=unchecked is not None, metrics=metrics)


def checkpoint_of(recipe: Recipe, course: str = "") -> Checkpoint:
    """Where a training of the recipe keeps its state; `course` where it has several."""
    name = f"{recipe.model_name}-{recipe.settings_key[:32]}"
    return Checkpoint(home_folder() / "checkpoints" / name / course)


def _train(recipe: Recipe, key: dict[str, str], registry: Registry) -> int:
    """The new version, not yet checked."""
    tags = {**recipe.tags(), **key}
    with (
        registry.run(recipe.model_name, "train", tags=tags) as run,
        tempfile.TemporaryDirectory(prefix="training-", dir=_work_folder()) as name,
    ):
        folder = Path(name)
        trained = recipe.train(run, folder)
        gc.collect()  # the model that is loaded to check is as large as this one was
        told = {"metrics": trained.metrics, "run_id": run.id}
        (folder / _FIGURES_FILE).write_text(json.dumps(told, indent=2), encoding="utf-8")
        return registry.register(
            recipe.model_name,
            folder,
            run,
            tags={**tags, **trained.tags, _CHECKED: "no"},
            description=recipe.description,
            interface=trained.interface,
        )


def _finish(recipe: Recipe, version: int, engine: Engine, registry: Registry) -> dict[str, float]:
    """Compares the registered files, then lets the version count; returns its figures."""
    name = recipe.model_name
    # Not the copy that registering left here: what others will get is what is checked.
    folder = registry.fetch(name, version)
    try:
        difference = recipe.check_reload(folder)
    except IntegrityError:
        registry.set_version_tags(name, version, {_CHECKED: "failed"})
        raise
    told = json.loads((folder / _FIGURES_FILE).read_text(encoding="utf-8"))
    metrics: dict[str, float] = {**told["metrics"], "reload_difference": difference}
    row = {
        "model_name": name,
        "version": version,
        **asdict(recipe.lineage()),
        "metrics": metrics,
        "mlflow_run_id": told["run_id"],
    }
    with guard_database(), engine.begin() as connection:
        store.add_lineage(connection, row)
    registry.set_alias(name, _CHALLENGER, version)
    registry.set_version_tags(name, version, {_CHECKED: "yes"})
    checkpoint_of(recipe).drop()
    return metrics


def _work_folder() -> Path:
    folder = home_folder() / "work"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: set GUIDEALIGN_HOME") from error
    return folder
