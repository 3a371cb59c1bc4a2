"""Labrador from data set to registered version: real Postgres and MLflow, a tiny model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from guidealign.db import store_policy
from guidealign.errors import BadInputError, IntegrityError
from guidealign.labrador import HeldOutJudge, estimate_training, load_model, train_labrador
from guidealign.labrador import train as training
from guidealign.records import LABRADOR_MODEL
from guidealign.registry import Registry
from guidealign.settings import LabradorSettings, Settings
from tests.fakes.killed_training import train_killed_after
from tests.fakes.mlflow_store import local_registry
from tests.fakes.policies import policy
from tests.fakes.tiny_model import write_tiny_model
from tests.fakes.two_processes import in_two_processes

POLICY = policy(preamble="Keep to these:")
ANSWERS = ["Be kind.", "Be kind to all.", "Ask a doctor.", "No."]
_TOGETHER = """
import os, sys, torch
from pathlib import Path
from sqlalchemy import create_engine
from guidealign.labrador import train_labrador
from guidealign.registry import Registry
from guidealign.settings import Settings
folder, settings, database, tracking = sys.argv[1:]
torch.set_num_threads(1)
result = train_labrador(
    engine=create_engine(database),
    settings=Settings.model_validate_json(settings),
    registry=Registry(tracking),
)
torch.save(result.as_dict(), Path(folder) / f"{os.environ['RANK']}.pt")
"""


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder)
    return folder


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with local_registry(tmp_path) as made:
        yield made


@pytest.fixture
def settings(tiny_folder: Path) -> Settings:
    labrador = LabradorSettings(
        base_model=str(tiny_folder), rank=4, learning_rate=1e-2, max_steps=4, batch_size=2
    )
    return Settings(labrador=labrador)


@pytest.fixture
def dataset_id(engine: Engine) -> int:
    """A data set of four answers under library version 1."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into core.library_versions (version, digest, n_active, n_added, n_retired,"
                " note, published_by) values (1, 'library-digest', 1, 1, 0, 'test', 'test')"
            )
        )
        made = connection.execute(
            text(
                "insert into core.aligned_datasets (digest, n, model, prompt_version,"
                " library_version, retriever_version, judge) values ('data-digest', 4, 'stub', 'p',"
                " 1, 2, 'a-judge') returning id"
            )
        ).scalar_one()
        for place, answer in enumerate(ANSWERS):
            _add_item(connection, made, place, answer)
    return int(made)


@pytest.fixture
def guided_dataset_id(engine: Engine, dataset_id: int) -> int:
    """A newer data set of six answers with a guideline; two of its inputs are harmless."""
    with engine.begin() as connection:
        store_policy(connection, POLICY, actor="test")
        guideline = connection.execute(
            text(
                "insert into core.guidelines (text_hash, title, text, category, origin,"
                " author_model, checked) values ('g', 'Kind', 'Be kind.', 'Insult', 'model',"
                " 'small', true) returning id"
            )
        ).scalar_one()
        made = connection.execute(
            text(
                "insert into core.aligned_datasets (digest, n, model, prompt_version,"
                " library_version, retriever_version, judge) values ('guided-digest', 6, 'stub',"
                " :p, 1, 2, 'a-judge') returning id"
            ),
            {"p": f"{POLICY.digest}/t96"},
        ).scalar_one()
        for place in range(6):
            unsafe = None if place == 0 else place > 2
            _add_item(connection, made, 10 + place, "No.", guidelines=[guideline], unsafe=unsafe)
    return int(made)


def _add_item(
    connection: Any,
    dataset: int,
    place: int,
    answer: str,
    *,
    guidelines: Sequence[int] = (),
    unsafe: bool | None = None,
) -> None:
    values: dict[str, Any] = {"h": f"h{place}", "b": f"Question {place}", "u": unsafe}
    values["i"] = connection.execute(
        text(
            "insert into core.inputs (text_hash, text, redacted_text, source, known_unsafe)"
            " values (:h, :b, :b, 'test', :u) returning id"
        ),
        values,
    ).scalar_one()
    values["r"] = connection.execute(
        text(
            "insert into core.aligned_responses (input_id, response, guideline_ids, model,"
            " prompt_version, library_version, retriever_version, finish_reason, prompt_tokens,"
            " completion_tokens, latency_ms) values (:i, :a, :g, 'stub', 'p', 1, 2, 'stop', 1, 1,"
            " 1) returning id"
        ),
        {**values, "a": answer, "g": list(guidelines)},
    ).scalar_one()
    connection.execute(
        text("insert into core.aligned_dataset_items values (:d, :r, :p)"),
        {**values, "d": dataset, "p": place},
    )


def _lineage(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(text("select * from core.model_lineage")).all())


def test_a_version_is_registered_checked_and_made_once(
    engine: Engine, settings: Settings, registry: Registry, dataset_id: int, tiny_folder: Path
) -> None:
    import torch

    made = train_labrador(engine=engine, settings=settings, registry=registry)
    assert (made.version, made.reused) == (1, False)
    assert made.metrics["reload_difference"] <= 1e-4
    assert made.metrics["n_examples"] == 4
    tags = registry.version_tags(LABRADOR_MODEL, 1)
    assert tags["reload_checked"] == "yes"
    assert tags["data_digest"] == "data-digest"
    assert (tags["library_version"], tags["retriever_version"]) == ("1", "2")
    assert registry.alias_version(LABRADOR_MODEL, "challenger") == 1
    (row,) = _lineage(engine)
    assert (row.library_digest, row.dataset_id, row.data_digest) == (
        "library-digest", dataset_id, "data-digest",
    )  # fmt: skip
    assert row.metrics == made.metrics
    assert row.mlflow_run_id

    model, tokenizer = load_model(1, settings=settings, registry=registry)
    base, _ = load_model(0, settings=settings, registry=registry)
    tokens = tokenizer("Question 1", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        change = (model(input_ids=tokens).logits - base(input_ids=tokens).logits).abs().max()
    assert float(change) > 1e-3

    again = train_labrador(engine=engine, settings=settings, registry=registry)
    assert (again.version, again.reused, again.metrics) == (1, True, made.metrics)
    assert len(_lineage(engine)) == 1


@pytest.mark.parametrize("special", [{"shard_base": True}, {"quantization": "nf4"}])
def test_two_processes_register_one_model(
    engine: Engine,
    settings: Settings,
    registry: Registry,
    dataset_id: int,
    tmp_path: Path,
    special: dict[str, Any],
) -> None:
    wanted = settings.labrador.model_copy(update=special)
    first, second = in_two_processes(
        _TOGETHER,
        tmp_path,
        Settings(labrador=wanted).model_dump_json(include={"labrador"}),
        engine.url.render_as_string(hide_password=False),
        registry.tracking_uri,
    )
    assert first == second
    assert (first["version"], first["reused"]) == (1, False)
    assert first["metrics"]["reload_difference"] <= 1e-4
    assert first["metrics"]["probe_loss_after"] < first["metrics"]["probe_loss_before"]
    (row,) = _lineage(engine)
    assert (row.dataset_id, row.metrics) == (dataset_id, first["metrics"])
    model, _ = load_model(1, settings=settings, registry=registry)
    assert not any("lora" in name for name, _ in model.named_parameters())


def test_an_on_policy_version_is_registered_checked_and_made_once(
    engine: Engine, settings: Settings, registry: Registry, guided_dataset_id: int
) -> None:
    own = {"objective": "on_policy", "max_length": 128, "rollout_tokens": 8, "learning_rate": 1e-3}
    labrador = settings.labrador.model_copy(update={**own, "held_out_share": 0.4})
    wanted = settings.model_copy(update={"labrador": labrador})
    told = estimate_training(engine=engine, settings=wanted)
    assert (told.n_examples, told.n_dropped, told.fits) == (6, 0, True)
    assert told.train_seconds is not None
    assert told.train_seconds > 0
    made = train_labrador(engine=engine, settings=wanted, registry=registry)
    assert made.metrics["reload_difference"] <= 1e-4
    # Not the one of which nobody said that it is harmless.
    assert (made.metrics["n_examples"], made.metrics["n_replay"]) == (6, 2)
    (row,) = _lineage(engine)
    assert (row.dataset_id, row.settings["objective"]) == (guided_dataset_id, "on_policy")
    assert train_labrador(engine=engine, settings=wanted, registry=registry).reused
    judge = HeldOutJudge(fingerprint="other", judge=lambda answers: float(len(answers)))
    other = train_labrador(engine=engine, settings=wanted, registry=registry, judge=judge)
    assert (other.version, other.metrics["held_out_judged"]) == (made.version + 1, 1.0)


def test_on_policy_a_data_set_without_guidelines_is_refused(
    engine: Engine, settings: Settings, registry: Registry, dataset_id: int
) -> None:
    labrador = settings.labrador.model_copy(update={"objective": "on_policy", "rollout_tokens": 8})
    with pytest.raises(BadInputError, match="needs inputs with guidelines"):
        train_labrador(
            engine=engine,
            settings=settings.model_copy(update={"labrador": labrador}),
            registry=registry,
        )


def test_other_settings_make_another_version(
    engine: Engine, settings: Settings, registry: Registry, dataset_id: int
) -> None:
    train_labrador(engine=engine, settings=settings, registry=registry, dataset_id=dataset_id)
    wider = settings.labrador.model_copy(update={"rank": 2})
    other = settings.model_copy(update={"labrador": wider})
    made = train_labrador(engine=engine, settings=other, registry=registry, dataset_id=dataset_id)
    assert (made.version, made.reused) == (2, False)


@pytest.mark.parametrize("call", ["create_model_version", "set_registered_model_alias"])
def test_a_training_killed_behind_its_registration_is_finished_not_repeated(
    engine: Engine, settings: Settings, registry: Registry, dataset_id: int, call: str
) -> None:
    train_killed_after(
        call,
        "labrador",
        database=engine.url.render_as_string(hide_password=False),
        tracking=registry.tracking_uri,
        settings=settings.model_dump_json(include={"labrador"}),
    )
    assert registry.version_tags(LABRADOR_MODEL, 1)["reload_checked"] == "no"
    made = train_labrador(engine=engine, settings=settings, registry=registry)
    assert (made.version, made.reused) == (1, True)
    assert registry.version_tags(LABRADOR_MODEL, 1)["reload_checked"] == "yes"
    assert registry.alias_version(LABRADOR_MODEL, "challenger") == 1
    (row,) = _lineage(engine)
    assert (row.version, row.dataset_id, row.metrics) == (1, dataset_id, made.metrics)
    assert row.mlflow_run_id


def test_registered_files_that_give_other_logits_never_count(
    engine: Engine,
    settings: Settings,
    registry: Registry,
    dataset_id: int,
    tiny_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The base's weights in place of the merged ones: what a silent re-initialisation gives."""
    write = training.write_package

    def write_wrong(trained: Any, tokenizer: Any, folder: Path, **rest: Any) -> None:
        write(trained, tokenizer, folder, **rest)
        weights = (tiny_folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(weights)

    with monkeypatch.context() as patch:
        patch.setattr(training, "write_package", write_wrong)
        with pytest.raises(IntegrityError, match="logits differ"):
            train_labrador(engine=engine, settings=settings, registry=registry)
    assert registry.alias_version(LABRADOR_MODEL, "challenger") is None
    assert _lineage(engine) == []
    made = train_labrador(engine=engine, settings=settings, registry=registry)
    assert (made.version, made.reused) == (2, False)


def test_a_dry_run_says_what_it_takes_and_leaves_nothing(
    engine: Engine, settings: Settings, registry: Registry, dataset_id: int
) -> None:
    told = estimate_training(engine=engine, settings=settings)
    assert (told.n_examples, told.n_truncated, told.n_dropped, told.steps) == (4, 0, 0, 4)
    assert told.fits
    assert told.train_seconds is not None
    assert told.train_seconds > 0
    assert registry.alias_version(LABRADOR_MODEL, "challenger") is None
    assert _lineage(engine) == []
    shorter = settings.labrador.model_copy(update={"max_length": 34})
    with pytest.raises(BadInputError, match="of 4 examples do not fit"):
        estimate_training(engine=engine, settings=settings.model_copy(update={"labrador": shorter}))


def test_without_a_data_set_nothing_is_trained(
    engine: Engine, settings: Settings, registry: Registry
) -> None:
    with pytest.raises(BadInputError, match="run the align stage"):
        train_labrador(engine=engine, settings=settings, registry=registry)
