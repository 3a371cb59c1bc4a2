"""Trains Labrador, registers it, and lets it count only once its files were read back."""

from __future__ import annotations

import gc
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Engine

from guidealign.alignment import PreferenceData, load_dataset, load_preferences
from guidealign.db import guard_database
from guidealign.errors import ConfigurationError, IntegrityError
from guidealign.labrador import store
from guidealign.labrador.base import find_base
from guidealign.labrador.dpo import fit_preferences
from guidealign.labrador.examples import Rows, as_learned, check_cut, tokenize, tokenize_pairs
from guidealign.labrador.loop import add_adapters, fit
from guidealign.labrador.memory import peak_resident_gb
from guidealign.labrador.model import Lineage, TrainResult
from guidealign.labrador.package import check_reload, read_metrics, write_package
from guidealign.labrador.quantized import load_base, on_full_weights
from guidealign.labrador.sharded import check_processes
from guidealign.records import LABRADOR_MODEL
from guidealign.registry import Registry, Run
from guidealign.retriever import Checkpoint, Processes, together
from guidealign.settings import Settings, home_folder

EXPERIMENT = "guidealign-labrador"
_CHALLENGER = "challenger"
_CHECKED = "reload_checked"
"""Tag of a version: `no` until its files were compared, then `yes`, or `failed`."""

log = structlog.get_logger()


def train_labrador(
    *, engine: Engine, settings: Settings, registry: Registry, dataset_id: int | None = None
) -> TrainResult:
    """Fine-tunes the base on an aligned data set and registers the merged model.

    The same data, base and settings are trained once. A training that was killed goes on at
    its last checkpoint; a version whose making was cut short after its registration is checked
    and finished instead of trained again. Stage 3 of Guide-Align (arXiv 2403.11838), with LoRA.

    Under `torchrun` or `accelerate launch` all processes train one model on the same machine's
    base; the first one registers it, and the others need neither the database nor the registry.

    Args:
        engine: the guidealign database.
        settings: `labrador` holds the base and the training's settings.
        registry: where the model goes.
        dataset_id: None: the newest aligned data set.

    Raises:
        BadInputError: there is no data set, or too little of it fits the length limit, or no
            pairs where preferences are to be learned, or the settings ask for what this number
            of processes cannot do.
        IntegrityError: training learned nothing, or the registered files give other logits.
        ServiceUnavailableError: the database or the registry does not answer.
    """
    with together() as processes:
        check_processes(processes, settings.labrador)
        if not processes.is_first:
            return _assist(processes, settings)
        parts = (engine, settings, registry)
        result = processes.told(_train_once(dataset_id, *parts, processes))
    log.info("labrador trained", reused=result.reused, version=result.version)
    return result


def _assist(processes: Processes, settings: Settings) -> TrainResult:
    """What processes beside the first do: they learn what it has tokenised, and no more."""
    said: TrainResult | Rows | None = processes.told(None)
    if isinstance(said, Rows):
        wanted = settings.labrador
        model, _ = load_base(find_base(settings).folder, wanted)
        fit(add_adapters(model, wanted), said.rows, wanted, lambda *_: None, processes=processes)
        said = processes.told(None)
    if not isinstance(said, TrainResult):
        raise IntegrityError("the first process has said nothing of its training: see its error")
    return said


def _train_once(
    dataset_id: int | None,
    engine: Engine,
    settings: Settings,
    registry: Registry,
    processes: Processes,
) -> TrainResult:
    data = load_dataset(dataset_id, engine=engine)
    lineage = Lineage(
        base=find_base(settings),
        data=data,
        settings=settings.labrador,
        preferences=_preferences(data.dataset_id, engine, settings),
    )
    trainer = _Trainer(engine, settings, registry, lineage, processes)
    found = trainer.find()
    if found is None:
        version, run_id = trainer.train_and_register()
        metrics = trainer.finish(version, run_id)
        return TrainResult(version=version, reused=False, metrics=metrics)
    version, checked = found
    metrics = trainer.stored_metrics(version) if checked else trainer.finish(version, None)
    return TrainResult(version=version, reused=True, metrics=metrics)


@dataclass(frozen=True)
class _Trainer:
    engine: Engine
    settings: Settings
    registry: Registry
    lineage: Lineage
    processes: Processes

    def find(self) -> tuple[int, bool] | None:
        """A version of this making, and whether it was checked; None: there is none."""
        key = {"settings_key": self.lineage.settings_key}
        for state, checked in (("yes", True), ("no", False)):
            version = self.registry.find_version(LABRADOR_MODEL, {**key, _CHECKED: state})
            if version is not None:
                return version, checked
        return None

    def train_and_register(self) -> tuple[int, str]:
        """The new version, not yet checked, and the id of its run."""
        tags = self.lineage.tags()
        with (
            self.registry.run(EXPERIMENT, "train", tags=tags) as run,
            tempfile.TemporaryDirectory(prefix="labrador-", dir=_work_folder()) as folder,
        ):
            self._train(run, Path(folder))
            gc.collect()  # the next model is as large as this one was
            version = self.registry.register(
                LABRADOR_MODEL,
                Path(folder),
                run,
                tags={**tags, _CHECKED: "no"},
                description="Labrador: the base after guided answers (LoRA, merged)",
            )
            return version, run.id

    def _train(self, run: Run, folder: Path) -> None:
        settings = self.settings.labrador
        run.log_params(self.lineage.learning_settings())
        run.log_dataset(
            [{"input_id": e.input_id} for e in self.lineage.data.examples],
            name="aligned",
            digest=self.lineage.data.digest,
            context="training",
        )
        model, tokenizer = load_base(self.lineage.base.folder, settings)
        examples = as_learned(self.lineage.data.examples, settings)
        rows = tokenize(examples, tokenizer, max_length=settings.max_length)
        check_cut(rows, max_share=settings.max_cut_share)
        trained = fit(
            add_adapters(model, settings),
            self.processes.told(rows).rows,
            settings,
            lambda metrics, step: run.log_metrics(metrics, step=step),
            checkpoint=self._checkpoint("answers"),
            processes=self.processes,
        )
        metrics = {**trained.metrics, **_counts(rows)}
        if self.lineage.preferences is not None:
            metrics |= self._prefer(trained.model, tokenizer, self.lineage.preferences, run)
        model = trained.model
        if settings.quantization != "none" or settings.shard_base:
            model = on_full_weights(model, self.lineage.base.folder)
        metrics["peak_rss_gb"] = peak_resident_gb()
        run.log_metrics(metrics)
        write_package(
            model,
            tokenizer,
            folder,
            lineage=self.lineage,
            rows=rows.rows,
            metrics=metrics,
        )

    def _prefer(
        self, model: Any, tokenizer: Any, preferences: PreferenceData, run: Run
    ) -> dict[str, float]:
        """Learns from pairs what was not learned from answers."""
        settings = self.settings.labrador
        run.log_dataset(
            [{"input_id": pair.input_id} for pair in preferences.pairs],
            name="preferences",
            digest=preferences.digest,
            context="training",
        )
        pairs = tokenize_pairs(preferences.pairs, tokenizer, max_length=settings.max_length)
        metrics = fit_preferences(
            model,
            pairs,
            settings,
            lambda metrics, step: run.log_metrics(metrics, step=step),
            checkpoint=self._checkpoint("preferences"),
        )
        return {**metrics, "dpo/n_dropped": float(len(preferences.pairs) - len(pairs))}

    def finish(self, version: int, run_id: str | None) -> dict[str, float]:
        """Compares the registered files, then lets the version count; returns its figures."""
        # Not the copy that registering left here: what others will get is what is checked.
        folder = self.registry.fetch(LABRADOR_MODEL, version)
        try:
            difference = check_reload(folder)
        except IntegrityError:
            self.registry.set_version_tags(LABRADOR_MODEL, version, {_CHECKED: "failed"})
            raise
        metrics = {**read_metrics(folder), "reload_difference": difference}
        with guard_database(), self.engine.begin() as connection:
            store.add_lineage(connection, version, self.lineage, metrics, mlflow_run_id=run_id)
        self.registry.set_alias(LABRADOR_MODEL, _CHALLENGER, version)
        self.registry.set_version_tags(LABRADOR_MODEL, version, {_CHECKED: "yes"})
        self._checkpoint().drop()
        return metrics

    def _checkpoint(self, course: str = "") -> Checkpoint:
        key = self.lineage.settings_key[:32]
        return Checkpoint(home_folder() / "checkpoints" / f"{LABRADOR_MODEL}-{key}" / course)

    def stored_metrics(self, version: int) -> dict[str, float]:
        """The figures of a version that counts."""
        with guard_database(), self.engine.connect() as connection:
            return store.lineage_metrics(connection, version) or {}


def _preferences(dataset_id: int, engine: Engine, settings: Settings) -> PreferenceData | None:
    return load_preferences(dataset_id, engine=engine) if settings.labrador.dpo else None


def _work_folder() -> Path:
    folder = home_folder() / "work"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: set GUIDEALIGN_HOME") from error
    return folder


def _counts(rows: Rows) -> dict[str, float]:
    return {
        "n_examples": float(len(rows.rows)),
        "n_truncated": float(rows.n_truncated),
        "n_dropped": float(rows.n_dropped),
        "mean_tokens": sum(len(r.tokens) for r in rows.rows) / len(rows.rows),
    }
