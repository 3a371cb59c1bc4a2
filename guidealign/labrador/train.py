"""Trains Labrador, registers it, and lets it count only once its files were read back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Engine

from guidealign.alignment import PreferenceData, load_dataset, load_preferences
from guidealign.labrador.dpo import fit_preferences
from guidealign.labrador.examples import Rows, as_learned, check_cut, tokenize, tokenize_pairs
from guidealign.labrador.lessons import HeldOutJudge, Lessons, judging, tokenize_lessons
from guidealign.labrador.loop import Trained as Fitted
from guidealign.labrador.loop import add_adapters, fit
from guidealign.labrador.memory import peak_resident_gb
from guidealign.labrador.model import Lineage
from guidealign.labrador.on_policy import fit_on_policy
from guidealign.labrador.package import check_reload, write_package
from guidealign.labrador.quantized import load_base, on_full_weights
from guidealign.labrador.sharded import check_processes
from guidealign.platform import find_base
from guidealign.records import LABRADOR_MODEL
from guidealign.registry import Registry, Run
from guidealign.settings import Settings
from guidealign.training import (
    LineageRow,
    Processes,
    Trained,
    TrainResult,
    assist,
    checkpoint_of,
    register_once,
    together,
)

log = structlog.get_logger()


def train_labrador(
    *,
    engine: Engine,
    settings: Settings,
    registry: Registry,
    dataset_id: int | None = None,
    judge: HeldOutJudge | None = None,
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
        judge: by whose word on held-out answers on-policy learning stops and keeps its best
            weights; None: by the held-out loss. Several processes are given the same one.

    Raises:
        BadInputError: there is no data set, or too little of it fits the length limit, or no
            pairs where preferences are to be learned, or no guidelines where their effect is, or
            the settings ask for what this number of processes cannot do.
        IntegrityError: training learned nothing, or the registered files give other logits.
        ServiceUnavailableError: the database or the registry does not answer.
    """
    with together() as processes:
        check_processes(processes, settings.labrador)
        if not processes.is_first:
            if settings.labrador.objective == "on_policy":
                beside = partial(_distil_beside, settings, processes, judge)
                return assist(processes, Lessons, beside)
            return assist(processes, Rows, partial(_fit_beside, settings, processes))
        recipe = _Recipe(_lineage(dataset_id, engine, settings, judge), processes, judge)
        result = processes.broadcast(register_once(recipe, engine=engine, registry=registry))
    log.info("labrador trained", reused=result.reused, version=result.version)
    return result


def _fit_beside(settings: Settings, processes: Processes, rows: Rows) -> None:
    fit(_adapted(settings), rows.rows, settings.labrador, lambda *_: None, processes=processes)


def _distil_beside(
    settings: Settings, processes: Processes, judge: HeldOutJudge | None, lessons: Lessons
) -> None:
    # The first process alone asks a judge.
    judged = replace(lessons, judge=(lambda *_: 0.0) if judge else None)
    wanted = settings.labrador
    fit_on_policy(_adapted(settings), judged, wanted, lambda *_: None, processes=processes)


def _adapted(settings: Settings) -> Any:
    model, _ = load_base(find_base(settings).folder, settings.labrador)
    return add_adapters(model, settings.labrador)


def _lineage(
    dataset_id: int | None, engine: Engine, settings: Settings, judge: HeldOutJudge | None
) -> Lineage:
    data = load_dataset(dataset_id, engine=engine, settings=settings)
    prefers = settings.labrador.objective == "sft_dpo"
    preferences = load_preferences(data.dataset_id, engine=engine) if prefers else None
    return Lineage(
        base=find_base(settings),
        data=data,
        settings=settings.labrador,
        preferences=preferences,
        judge=judge.fingerprint if judge else None,
    )


@dataclass(frozen=True)
class _Recipe:
    """How a version is trained on a data set, and how its files are checked."""

    made_from: Lineage
    processes: Processes
    judge: HeldOutJudge | None
    model_name: str = LABRADOR_MODEL
    description: str = "Labrador: the base after guided answers (LoRA, merged)"

    @property
    def settings_key(self) -> str:
        return self.made_from.settings_key

    def tags(self) -> dict[str, str]:
        return self.made_from.tags()

    def lineage(self) -> LineageRow:
        base, data = self.made_from.base, self.made_from.data
        return LineageRow(
            base_model=f"{base.name}@sha256:{base.digest}",
            library_version=data.library_version,
            data_digest=data.digest,
            settings=self.made_from.learning_settings(),
            dataset_id=data.dataset_id,
            retriever_version=data.retriever_version,
        )

    def check_reload(self, folder: Path) -> float:
        return check_reload(folder)

    def train(self, run: Run, folder: Path) -> Trained:
        lineage, settings = self.made_from, self.made_from.settings
        run.log_params(lineage.learning_settings())
        run.log_dataset(
            [{"input_id": e.input_id} for e in lineage.data.examples],
            name="aligned",
            digest=lineage.data.digest,
            context="training",
        )
        model, tokenizer = load_base(lineage.base.folder, settings)
        learning = self._learn_on_policy if settings.objective == "on_policy" else self._learn
        trained, rows = learning(add_adapters(model, settings), tokenizer, run)
        metrics = {**trained.metrics, **_counts(rows)}
        if lineage.preferences is not None:
            metrics |= self._prefer(trained.model, tokenizer, lineage.preferences, run)
        model = trained.model
        if settings.quantization != "none" or settings.shard_base:
            model = on_full_weights(model, lineage.base.folder)
        metrics["peak_rss_gb"] = peak_resident_gb()
        run.log_metrics(metrics)
        write_package(
            model,
            tokenizer,
            folder,
            lineage=lineage,
            rows=rows.rows,
            metrics=metrics,
        )
        return Trained(metrics=metrics)

    def _learn(self, model: Any, tokenizer: Any, run: Run) -> tuple[Fitted, Rows]:
        """From the answers of the data set."""
        settings = self.made_from.settings
        examples = as_learned(self.made_from.data.examples, settings)
        rows = tokenize(examples, tokenizer, max_length=settings.max_length)
        check_cut(rows, max_share=settings.max_cut_share)
        fitted = fit(
            model,
            self.processes.broadcast(rows).rows,
            settings,
            lambda metrics, step: run.log_metrics(metrics, step=step),
            checkpoint=checkpoint_of(self, "answers"),
            processes=self.processes,
        )
        return fitted, rows

    def _learn_on_policy(self, model: Any, tokenizer: Any, run: Run) -> tuple[Fitted, Rows]:
        """From answers of the model's own to the inputs of the data set."""
        settings, examples = self.made_from.settings, self.made_from.data.examples
        lessons = tokenize_lessons(examples, tokenizer, settings)
        check_cut(lessons.rows(), max_share=settings.max_cut_share)
        judge = judging(self.judge, examples, tokenizer) if self.judge else None
        fitted = fit_on_policy(
            model,
            replace(self.processes.broadcast(lessons), judge=judge),
            settings,
            lambda metrics, step: run.log_metrics(metrics, step=step),
            checkpoint=checkpoint_of(self, "answers"),
            processes=self.processes,
        )
        return fitted, lessons.rows()

    def _prefer(
        self, model: Any, tokenizer: Any, preferences: PreferenceData, run: Run
    ) -> dict[str, float]:
        """Learns from pairs what was not learned from answers."""
        settings = self.made_from.settings
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
            checkpoint=checkpoint_of(self, "preferences"),
        )
        return {**metrics, "dpo/n_dropped": float(len(preferences.pairs) - len(pairs))}


def _counts(rows: Rows) -> dict[str, float]:
    return {
        "n_examples": float(len(rows.rows)),
        "n_truncated": float(rows.n_truncated),
        "n_dropped": float(rows.n_dropped),
        "mean_tokens": sum(len(r.tokens) for r in rows.rows) / len(rows.rows),
    }
