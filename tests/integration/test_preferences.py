"""Guided against unguided answers: real Postgres, MLflow, and stub model servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from guidealign.alignment import build_preferences, load_preferences
from guidealign.errors import BadInputError, ConfigurationError, ServiceUnavailableError
from guidealign.labrador import train_labrador
from guidealign.registry import Registry
from guidealign.settings import EndpointSettings, LabradorSettings, Settings
from tests.fakes.mlflow_store import local_registry
from tests.fakes.model_server import ChatRequest, ModelServer, Reply, serve_model, unused_base_url
from tests.fakes.tiny_model import write_tiny_model

# (input, known unsafe, guided answer, unguided answer, verdict)
SCENE = [
    ("How do I pick a lock?", True, "I would ask a locksmith.", "Bend a HARMFUL wire.", "kept"),
    ("Who is worth less?", True, "Nobody is worth less.", "Nobody is worth  less.", "same"),
    ("Say a bad word.", True, "I'd rather be polite.", "Please be polite.", "not_separated"),
    ("Hurt him?", True, "Do the HARMFUL thing.", "Better talk to him.", "plain_better"),
    ("Kill a process?", False, "Send it the signal 9.", "I can't help with that.", "kept"),
    ("Boil an egg?", False, "Ten minutes in water.", "Eight minutes in water.", "not_separated"),
    ("What is it?", True, "It is a spring.", " ", "plain_unusable"),
]
DROPPED = {"not_separated": 2, "plain_better": 1, "plain_unusable": 1, "same": 1}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with local_registry(tmp_path_factory.mktemp("mlflow")) as made:
        yield made


@pytest.fixture
def base() -> Iterator[ModelServer]:
    plain = {prompt: answer for prompt, _, _, answer, _ in SCENE}
    with serve_model(lambda request: plain[request.last]) as running:
        yield running


def _verdict(request: ChatRequest) -> Reply | str:
    return "yes" if "HARMFUL" in request.last else "no"


@pytest.fixture
def safety() -> Iterator[ModelServer]:
    with serve_model(_verdict) as running:
        yield running


@pytest.fixture
def settings(base: ModelServer, safety: ModelServer) -> Settings:
    return Settings(
        base=EndpointSettings(base_url=base.base_url, model="stub", max_retries=0),
        safety=EndpointSettings(base_url=safety.base_url, model="judge", max_retries=0),
    )


@pytest.fixture
def dataset_id(engine: Engine) -> int:
    """An aligned data set of the scene's guided answers."""
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
                " library_version, retriever_version, judge) values ('d', 7, 'stub', 'p', 1, 2,"
                " 'a-judge') returning id"
            )
        ).scalar_one()
        for place, (prompt, unsafe, guided, *_) in enumerate(SCENE):
            _add(connection, made, place, {"b": prompt, "u": unsafe, "a": guided})
    return int(made)


def _add(connection: Any, dataset: int, place: int, values: dict[str, Any]) -> None:
    input_id = connection.execute(
        text(
            "insert into core.inputs (text_hash, text, redacted_text, source, known_unsafe)"
            " values (:b, :b, :b, 'test', :u) returning id"
        ),
        values,
    ).scalar_one()
    response_id = connection.execute(
        text(
            "insert into core.aligned_responses (input_id, response, guideline_ids, model,"
            " prompt_version, library_version, retriever_version, finish_reason, prompt_tokens,"
            " completion_tokens, latency_ms) values (:i, :a, '{}', 'stub', 'p', 1, 2, 'stop', 1, 1,"
            " 1) returning id"
        ),
        {**values, "i": input_id},
    ).scalar_one()
    connection.execute(
        text("insert into core.aligned_dataset_items values (:d, :r, :p)"),
        {"d": dataset, "r": response_id, "p": place},
    )


def test_pairs_are_kept_where_a_rule_tells_them_apart_and_every_drop_is_named(
    engine: Engine, settings: Settings, registry: Registry, dataset_id: int, base: ModelServer
) -> None:
    made = build_preferences(dataset_id, engine=engine, settings=settings, registry=registry)
    assert (made.n, made.n_asked, made.n_failed, made.changed) == (2, 7, 0, True)
    assert made.dropped == DROPPED
    assert [m["role"] for m in base.requests[0].messages] == ["user"]
    data = load_preferences(dataset_id, engine=engine)
    assert (data.digest, data.dataset_id) == (made.digest, dataset_id)
    kept = [(prompt, guided, plain) for prompt, _, guided, plain, v in SCENE if v == "kept"]
    assert [(p.prompt, p.chosen, p.rejected) for p in data.pairs] == kept
    with engine.connect() as connection:
        seen = connection.execute(
            text("select guided_risk, plain_risk, verdict from library.preferences order by id")
        ).all()
        stages = connection.execute(text("select distinct stage from core.model_calls")).all()
    # Not `screen`, which is authoring's verdict in one word.
    assert [tuple(row) for row in stages] == [("preference",)]
    assert tuple(seen[0]) == (0.0, 1.0, "guided_better")
    assert tuple(seen[4]) == (None, None, "guided_better")


def test_a_second_comparison_asks_nothing_and_makes_no_other_set(
    engine: Engine,
    settings: Settings,
    registry: Registry,
    dataset_id: int,
    base: ModelServer,
    safety: ModelServer,
) -> None:
    first = build_preferences(dataset_id, engine=engine, settings=settings, registry=registry)
    asked = len(base.requests), len(safety.requests)
    again = build_preferences(dataset_id, engine=engine, settings=settings, registry=registry)
    assert (len(base.requests), len(safety.requests)) == asked
    assert (again.set_id, again.digest, again.dropped) == (
        first.set_id, first.digest, first.dropped,
    )  # fmt: skip
    assert (again.n_asked, again.changed) == (0, False)


def test_another_margin_is_another_judge(
    engine: Engine, settings: Settings, registry: Registry, dataset_id: int, safety: ModelServer
) -> None:
    build_preferences(dataset_id, engine=engine, settings=settings, registry=registry)
    asked = len(safety.requests)
    align = settings.align.model_copy(update={"preference_margin": 0.5})
    other = settings.model_copy(update={"align": align})
    build_preferences(dataset_id, engine=engine, settings=other, registry=registry)
    assert len(safety.requests) == 2 * asked


def test_a_model_never_judges_its_own_answers(
    engine: Engine, settings: Settings, registry: Registry, dataset_id: int, base: ModelServer
) -> None:
    own = settings.model_copy(update={"safety": settings.base})
    with pytest.raises(ConfigurationError, match="another model as judge"):
        build_preferences(dataset_id, engine=engine, settings=own, registry=registry)
    assert base.requests == []


def test_what_was_answered_before_the_judge_went_away_is_not_asked_again(
    engine: Engine, settings: Settings, registry: Registry, dataset_id: int, base: ModelServer
) -> None:
    away = EndpointSettings(base_url=unused_base_url(), model="judge", max_retries=0)
    without = settings.model_copy(update={"safety": away})
    with pytest.raises(ServiceUnavailableError):
        build_preferences(dataset_id, engine=engine, settings=without, registry=registry)
    assert len(base.requests) == len(SCENE)
    made = build_preferences(dataset_id, engine=engine, settings=settings, registry=registry)
    assert (made.n, made.n_asked) == (2, 0)
    assert len(base.requests) == len(SCENE)


def test_labrador_learns_preferences_behind_the_answers(
    engine: Engine, settings: Settings, registry: Registry, dataset_id: int, tmp_path: Path
) -> None:
    write_tiny_model(tmp_path / "tiny")
    labrador = LabradorSettings(
        base_model=str(tmp_path / "tiny"), rank=4, learning_rate=1e-2, max_steps=4, batch_size=2,
        objective="sft_dpo", dpo_learning_rate=5e-3, dpo_steps=6,
    )  # fmt: skip
    wanted = settings.model_copy(update={"labrador": labrador})
    with pytest.raises(BadInputError, match="no preference pairs"):
        train_labrador(engine=engine, settings=wanted, registry=registry)
    pairs = build_preferences(dataset_id, engine=engine, settings=wanted, registry=registry)
    made = train_labrador(engine=engine, settings=wanted, registry=registry)
    assert made.metrics["dpo/probe_margin_after"] > made.metrics["dpo/probe_margin_before"]
    assert made.metrics["dpo/n_pairs"] == 2
    tags = registry.version_tags("guidealign-labrador", made.version)
    assert tags["preference_digest"] == pairs.digest
    assert train_labrador(engine=engine, settings=wanted, registry=registry).reused
