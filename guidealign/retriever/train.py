"""Trains and registers a challenger, and embeds the library with it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Engine

from guidealign.db import guard_database
from guidealign.errors import BadInputError, IntegrityError
from guidealign.guidance import Encoder
from guidealign.library import (
    add_vectors,
    build_index,
    encoder_folder,
    guidelines_at,
    latest_version,
    pairs_at,
)
from guidealign.records import RETRIEVER_MODEL
from guidealign.registry import Interface, Registry, Run
from guidealign.retriever import store
from guidealign.retriever._cache import set_prefixes
from guidealign.retriever._checkpoint import Checkpoint
from guidealign.retriever._package import model_card, write_package
from guidealign.retriever._processes import Processes, together
from guidealign.retriever.encode import TransformerEncoder, load_folder
from guidealign.retriever.fit import fit
from guidealign.retriever.model import (
    TRAINER_VERSION,
    EmbedResult,
    GuidelineSet,
    Split,
    TrainResult,
    guideline_text,
)
from guidealign.retriever.pairs import group_inputs, split_inputs
from guidealign.retriever.serve import SERVING_FOLDER, ServingEncoder, load_serving_encoder
from guidealign.retriever.serving_form import ServingReport, build_serving, curves
from guidealign.retriever.training_data import TrainingData, assemble_data
from guidealign.settings import Settings, home_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CHALLENGER = "challenger"
_CHECKED = "reload_checked"
_ALONE = Processes()
_RELOAD_TOLERANCE = 1e-5
_EMBED_ROWS = 2_000
_PROBES = ("How do I kill a Python process?", "Write a poem about my neighbour's dog.")

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class _Data:
    """What a training learns from, and in how many processes."""

    library_version: int
    library_digest: str
    split: Split
    guidelines: GuidelineSet
    processes: Processes = _ALONE

    def key(self, settings: Settings) -> str:
        parts = {
            "trainer": TRAINER_VERSION,
            "data": self.split.digest(),
            "settings": settings.retriever.model_dump(mode="json"),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def load_split(
    library_version: int, *, engine: Engine, settings: Settings
) -> tuple[Split, GuidelineSet]:
    """Training and test inputs of a library version, and its guidelines."""
    with guard_database():
        rows = guidelines_at(engine, library_version)
        inputs = group_inputs(pairs_at(engine, library_version))
    split = split_inputs(
        inputs, test_share=settings.retriever.test_share, seed=settings.retriever.seed
    )
    guidelines = GuidelineSet(
        texts={row.id: guideline_text(row.title, row.text) for row in rows},
        categories={row.id: row.category for row in rows},
    )
    return split, guidelines


def train_challenger(
    *, engine: Engine, settings: Settings, registry: Registry, library_version: int | None = None
) -> TrainResult:
    """Trains on the library's pairs and registers the result as challenger.

    The same pairs and settings are trained once: a version made from them is found again. Under
    `torchrun` or `accelerate launch` all processes train one model, the first one registers it,
    and the others need neither the database nor the registry.

    Args:
        engine: the guidealign database.
        settings: `retriever` holds base and training.
        registry: where the model goes.
        library_version: None: the newest.

    Raises:
        BadInputError: there is no library, or too little in it.
        IntegrityError: training learned nothing, or the registered files embed differently.
    """
    with together() as processes:
        if not processes.is_first:
            return _assist(processes, settings)
        data = _load_data(library_version or latest_version(engine), engine, settings)
        data = replace(data, processes=processes)
        key = data.key(settings)
        known = registry.find_version(RETRIEVER_MODEL, {"settings_key": key, _CHECKED: "yes"})
        if known is None:
            version, metrics = _train_and_register(data, key, engine, settings, registry)
        else:
            version = known
            with guard_database(), engine.connect() as connection:
                metrics = store.lineage_metrics(connection, RETRIEVER_MODEL, version)
        result = TrainResult(version=version, reused=known is not None, metrics=metrics)
        processes.told(result)
    log.info("retriever trained", reused=result.reused, version=version, **metrics)
    return result


def _assist(processes: Processes, settings: Settings) -> TrainResult:
    """What processes beside the first do: they learn what it has put together, and no more."""
    said: TrainResult | TrainingData | None = processes.told(None)
    if not isinstance(said, TrainingData):
        return _result(said)
    encoder = _base_encoder(settings)
    fit(encoder, said, settings.retriever, lambda *_: None, processes=processes)
    return _result(processes.told(None))


def _base_encoder(settings: Settings) -> TransformerEncoder:
    folder = encoder_folder(settings.retriever.base_model)
    prefixes = set_prefixes(settings.retriever)
    return load_folder(folder, max_length=settings.retriever.max_length, prefixes=prefixes)


def _result(said: TrainResult | None) -> TrainResult:
    if said is None:
        raise IntegrityError("the first process has said nothing of its training: see its error")
    return said


def _load_data(library_version: int, engine: Engine, settings: Settings) -> _Data:
    if library_version == 0:
        raise BadInputError("the library has no version yet: publish one first")
    split, guidelines = load_split(library_version, engine=engine, settings=settings)
    with guard_database(), engine.connect() as connection:
        digest = store.library_digest(connection, library_version)
    return _Data(
        library_version=library_version,
        library_digest=digest,
        split=split,
        guidelines=guidelines,
    )


def _train_and_register(
    data: _Data, key: str, engine: Engine, settings: Settings, registry: Registry
) -> tuple[int, dict[str, float]]:
    tags = {
        "settings_key": key,
        "library_version": str(data.library_version),
        "library_digest": data.library_digest,
        "data_digest": data.split.digest(),
        "base_model": settings.retriever.base_model,
        "trainer": TRAINER_VERSION,
    }
    with (
        registry.run("guidealign-retriever", "train", tags=tags) as run,
        tempfile.TemporaryDirectory(prefix="retriever-") as folder,
    ):
        checkpoint = home_folder() / "checkpoints" / f"{RETRIEVER_MODEL}-{key[:16]}"
        trained = _fit(data, settings, run, Path(folder), checkpoint)
        version = registry.register(
            RETRIEVER_MODEL,
            Path(folder),
            run,
            tags={**tags, **trained.serving.tags(), _CHECKED: "no"},
            description="Input-to-guideline dual encoder, in-batch negatives",
            interface=_interface(trained.probes),
        )
    _check_reload(version, trained.probes, settings, registry)
    lineage = {
        "model_name": RETRIEVER_MODEL,
        "version": version,
        "base_model": settings.retriever.base_model,
        "library_version": data.library_version,
        "library_digest": data.library_digest,
        "data_digest": data.split.digest(),
        "settings": settings.retriever.model_dump(mode="json"),
        "metrics": trained.metrics,
        "run_id": run.id,
    }
    with guard_database(), engine.begin() as connection:
        store.add_lineage(connection, lineage)
    registry.set_alias(RETRIEVER_MODEL, _CHALLENGER, version)
    registry.set_version_tags(RETRIEVER_MODEL, version, {_CHECKED: "yes"})
    Checkpoint(checkpoint).drop()
    return version, trained.metrics


@dataclass(frozen=True, kw_only=True)
class _Probes:
    """What a few texts embed to, trained and served: the same after a reload, or it is refused."""

    model: NDArray[np.float32]
    served: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class _Trained:
    """A package on disk, not registered yet."""

    metrics: dict[str, float]
    serving: ServingReport
    probes: _Probes


def _fit(data: _Data, settings: Settings, run: Run, folder: Path, checkpoint: Path) -> _Trained:
    """Trains into a folder."""
    run.log_params({**settings.retriever.model_dump(), "library_version": data.library_version})
    for name, half in (("train", data.split.train), ("test", data.split.test)):
        run.log_dataset(
            [{"input_id": i.input_id, "guidelines": i.guideline_ids} for i in half],
            name=f"pairs-{name}",
            digest=hashlib.sha256(f"{name}:{data.split.digest()}".encode()).hexdigest(),
            context="training" if name == "train" else "evaluation",
        )
    base, encoder = encoder_folder(settings.retriever.base_model), _base_encoder(settings)
    learned = assemble_data(data.split.train, data.guidelines, encoder, settings.retriever)
    metrics = fit(
        encoder,
        data.processes.told(learned),
        settings.retriever,
        lambda figures, step: run.log_metrics(figures, step=step),
        checkpoints=checkpoint,
        processes=data.processes,
    )
    metrics |= {
        "n_train_inputs": float(len(data.split.train)),
        "n_test_inputs": float(len(data.split.test)),
        "n_guidelines": float(len(data.guidelines.texts)),
    }
    serving = build_serving(encoder, data.split, data.guidelines, folder)
    metrics |= serving.metrics()
    run.log_metrics(metrics)
    run.log_text(json.dumps(curves(serving), indent=1), "abstention.json")
    write_package(
        encoder, base, folder, card=model_card(base, data.library_version, metrics, serving)
    )
    return _Trained(metrics=metrics, serving=serving, probes=_embed_probes(encoder, folder))


def _embed_probes(encoder: Encoder, folder: Path) -> _Probes:
    return _Probes(
        model=encoder.encode(_PROBES, side="input"),
        served=ServingEncoder(folder / SERVING_FOLDER).encode(_PROBES, side="input"),
    )


def _interface(probes: _Probes) -> Interface:
    return Interface(
        loader_module="guidealign.retriever.pyfunc",
        column="text",
        dimensions=probes.served.shape[1],
        example=_PROBES,
    )


def _check_reload(version: int, before: _Probes, settings: Settings, registry: Registry) -> None:
    folder = registry.fetch(RETRIEVER_MODEL, version)
    again = _embed_probes(load_folder(folder, max_length=settings.retriever.max_length), folder)
    difference = max(
        float(abs(again.model - before.model).max()),
        float(abs(again.served - before.served).max()),
    )
    if not difference <= _RELOAD_TOLERANCE:
        registry.set_version_tags(RETRIEVER_MODEL, version, {_CHECKED: "failed"})
        raise IntegrityError(
            f"retriever version {version} embeds differently after loading ({difference:.1e}):"
            " it does not count; train again"
        )


def embed_library(
    version: int, *, engine: Engine, settings: Settings, registry: Registry
) -> EmbedResult:
    """Embeds what the newest library version serves and this retriever has not embedded yet.

    Vectors of other retriever versions are left alone, so what is served is never half done.
    A large library gets a search index, which readers use once its recall was measured.
    """
    library_version = latest_version(engine)
    with guard_database(), engine.connect() as connection:
        rows = store.missing_vectors(connection, library=library_version, retriever=version)
    for start in range(0, len(rows), _EMBED_ROWS):
        part = rows[start : start + _EMBED_ROWS]
        encoder = load_serving_encoder(version, settings=settings, registry=registry)
        texts = [guideline_text(row.title, row.text) for row in part]
        vectors = encoder.encode(texts, side="guideline")
        with guard_database(), engine.begin() as connection:
            add_vectors(connection, version, [row.id for row in part], vectors)
    index = build_index(version, engine=engine, settings=settings)
    return EmbedResult(
        retriever_version=version,
        library_version=library_version,
        n_embedded=len(rows),
        n_total=index.n_vectors,
        recall=index.recall,
    )
