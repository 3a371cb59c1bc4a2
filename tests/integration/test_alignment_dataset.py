"""Alignment over the real Postgres, encoder and MLflow, and a stub model server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from guidealign.alignment import build_dataset, load_dataset, retrieve
from guidealign.alignment.store import sample_inputs
from guidealign.db import current_release
from guidealign.errors import (
    BadInputError,
    IntegrityError,
    ServiceUnavailableError,
)
from guidealign.guidance import proposed_policy
from guidealign.records import Release
from guidealign.registry import Registry
from guidealign.retriever import load_serving_encoder
from guidealign.settings import AlignSettings, EndpointSettings, RetrievalSettings, Settings
from tests.fakes.mlflow_store import local_registry
from tests.fakes.model_server import ChatRequest, ModelServer, Reply, serve_model, unused_base_url
from tests.fakes.policies import add_release
from tests.integration.alignment_fixture import add_guidelines, add_input, rows

INPUTS = [
    ("Where does my neighbour live?", "Privacy_And_Property", True),
    ("Find the home of this singer.", "Privacy_And_Property", True),
    ("Say something nasty to me.", "Insult", True),
    ("How do I boil an egg?", "Quality_Explaining", False),
    ("I feel very low today.", "Mental_Health", False),
]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with local_registry(tmp_path_factory.mktemp("mlflow")) as made:
        yield made


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serve_model(_answer) as running:
        yield running


@pytest.fixture
def settings(server: ModelServer) -> Settings:
    return _settings(server.base_url)


@pytest.fixture
def live(engine: Engine, settings: Settings, registry: Registry) -> Release:
    """A library of five guidelines, embedded and released, and five inputs."""
    with engine.begin() as connection:
        add_guidelines(connection, load_serving_encoder(0, settings=settings, registry=registry))
        connection.execute(text("update core.guidelines set state = 'active', served = '{[1,)}'"))
        connection.execute(text("select core.add_version('test', 'test')"))
        for body, category, unsafe in INPUTS:
            add_input(connection, body, category=category, unsafe=unsafe)
        # Placed by the model's name, as whoever learns from the answers has to place them.
        places = {"placement": "last_user", "placement_by_model": (("stub", "system_start"),)}
        add_release(connection, policy=replace(proposed_policy(settings), **places))
    release = current_release(engine)
    assert release is not None
    return release


def _settings(base_url: str, **align: Any) -> Settings:
    base = EndpointSettings(base_url=base_url, model="stub", concurrency=2, max_retries=0)
    # As many as the paper keeps: of five candidates none is left out for its place.
    many = RetrievalSettings(k=6)
    # The guided answer or none, by its form: what a judge chooses is in test_aligned_choices.py.
    form = {"candidates": ["guided"], "judge": "form_only", "min_rows": 1}
    return Settings(base=base, align=AlignSettings(**{**form, **align}), retrieval=many)


def _answer(request: ChatRequest) -> Reply | str:
    return f"A helpful answer to this: {request.last}"


def _counts(engine: Engine) -> dict[str, int]:
    tables = ("retrievals", "aligned_responses", "aligned_datasets", "aligned_dataset_items")
    tables += ("model_calls", "rejects")
    return {t: rows(engine, f"select count(*) from core.{t}")[0][0] for t in tables}


def test_answers_are_guided_and_make_a_data_set_once(
    engine: Engine, settings: Settings, registry: Registry, live: Release, server: ModelServer
) -> None:
    first = build_dataset(engine=engine, settings=settings, registry=registry)
    assert (first.n, first.n_new, first.n_filtered, first.changed) == (5, 5, 0, True)
    sent = server.requests[0]
    assert [m["role"] for m in sent.messages] == ["system", "user"]
    assert "1. " in sent.messages[0]["content"]
    assert sent.body["temperature"] == 0
    # 5 candidates for each of 5 inputs; of the two near-duplicates one is kept: 4 each
    assert _counts(engine)["retrievals"] == 25
    assert rows(engine, "select count(*) from core.retrievals where kept")[0][0] == 20
    assert rows(engine, "select distinct cardinality(guideline_ids) from core.aligned_responses")[
        0
    ] == (4,)

    before = _counts(engine)
    second = build_dataset(engine=engine, settings=settings, registry=registry)
    assert (second.dataset_id, second.digest) == (first.dataset_id, first.digest)
    assert (second.n_new, second.changed) == (0, False)
    assert _counts(engine) == before
    assert len(server.requests) == 5


def test_the_data_set_is_in_order_of_its_digest(
    engine: Engine, settings: Settings, registry: Registry, live: Release
) -> None:
    made = build_dataset(engine=engine, settings=settings, registry=registry)
    data = load_dataset(engine=engine, settings=settings)
    assert (data.dataset_id, data.digest, data.library_version) == (made.dataset_id, made.digest, 1)
    assert [e.prompt for e in data.examples] == sorted(body for body, _, _ in INPUTS)
    example = data.examples[0]
    assert [m["role"] for m in example.messages()] == ["system", "user", "assistant"]
    assert example.response == f"A helpful answer to this: {example.prompt}"
    with pytest.raises(BadInputError, match="no data set 99"):
        load_dataset(99, engine=engine, settings=settings)


def test_filtered_answers_are_kept_with_their_reason_and_learned_by_nobody(
    engine: Engine, settings: Settings, registry: Registry, live: Release, server: ModelServer
) -> None:
    def answer(request: ChatRequest) -> Reply | str:
        if "egg" in request.last:
            return "I'm sorry, but I can't help with that."
        if "low" in request.last:
            return Reply(text="You could", finish_reason="length")
        return _answer(request)

    server.responder = answer
    made = build_dataset(engine=engine, settings=settings, registry=registry)
    assert (made.n, made.n_filtered) == (3, 2)
    assert made.filtered == {"refuses_benign": 1, "truncated": 1}
    assert _counts(engine)["aligned_responses"] == 5


def test_a_server_that_dies_loses_nothing_that_was_answered(
    engine: Engine, settings: Settings, registry: Registry, live: Release, server: ModelServer
) -> None:
    server.responder = lambda r: _answer(r) if r.number < 2 else Reply(drop=True)
    with pytest.raises(ServiceUnavailableError):
        build_dataset(engine=engine, settings=settings, registry=registry)
    counts = _counts(engine)
    assert (counts["aligned_responses"], counts["aligned_datasets"]) == (2, 0)
    # two callers were under way when it went; nobody behind them knocked in vain
    assert len(server.requests) <= 4
    server.responder = _answer
    made = build_dataset(engine=engine, settings=settings, registry=registry)
    assert (made.n, made.n_new) == (5, 3)


def test_no_server_at_all_is_said_and_nothing_is_half_written(
    engine: Engine, registry: Registry, live: Release
) -> None:
    with pytest.raises(ServiceUnavailableError):
        build_dataset(engine=engine, settings=_settings(unused_base_url()), registry=registry)
    assert _counts(engine)["aligned_responses"] == 0


def test_an_input_that_the_server_refuses_is_a_reject_and_the_rest_goes_on(
    engine: Engine, settings: Settings, registry: Registry, live: Release, server: ModelServer
) -> None:
    server.responder = lambda r: (
        Reply(status=400, text="context exceeded") if "egg" in r.last else _answer(r)
    )
    for _ in range(2):
        made = build_dataset(engine=engine, settings=settings, registry=registry)
        assert (made.n, made.n_failed) == (4, 1)
    rejects = rows(engine, "select stage, reason from core.rejects")
    assert rejects == [("align", "refused_by_server")]


def test_categories_take_turns_and_near_duplicates_stay_out(engine: Engine) -> None:
    with engine.begin() as connection:
        first = add_input(connection, "i0", category="Insult", unsafe=True)
        for n in range(1, 6):
            add_input(connection, f"i{n}", category="Insult", unsafe=True)
        add_input(connection, "copy", category="Mental_Health", unsafe=True, near=first)
        add_input(connection, "m0", category="Mental_Health", unsafe=False)
        add_input(connection, "unknown", category=None, unsafe=None)
        chosen = sample_inputs(connection, n=3, general_share=0.3, seed=13)
        assert chosen == sample_inputs(connection, n=3, general_share=0.3, seed=13)
        other_order = sample_inputs(connection, n=100, general_share=0.3, seed=14)
        everything = sample_inputs(connection, n=100, general_share=0.3, seed=13)
    # Insult, Mental_Health, then Insult again, for Mental_Health has no second
    assert [i.category for i in chosen] == ["Insult", "Mental_Health", "Insult"]
    assert [i.known_safe for i in chosen] == [False, True, False]
    assert len(everything) == 7
    assert {i.text for i in everything} == {i.text for i in other_order}
    assert [i.text for i in everything] != [i.text for i in other_order]


@pytest.mark.parametrize(
    ("n_unsafe", "n_safe", "share", "expected"),
    [
        (10, 10, 0.25, (6, 2)),
        (10, 1, 0.25, (7, 1)),
        (3, 10, 0.25, (3, 5)),
        (10, 10, 0.0, (8, 0)),
        (10, 10, 1.0, (0, 8)),
        (2, 1, 0.5, (2, 1)),
    ],
)
def test_a_share_is_harmless_and_either_kind_fills_up_for_the_other(
    engine: Engine, n_unsafe: int, n_safe: int, share: float, expected: tuple[int, int]
) -> None:
    with engine.begin() as connection:
        for n in range(n_unsafe):
            category = ("Insult", "Mental_Health")[n % 2]
            add_input(connection, f"unsafe {n}", category=category, unsafe=True)
        for n in range(n_safe):
            add_input(connection, f"safe {n}", category="Quality_Explaining", unsafe=False)
        chosen = sample_inputs(connection, n=8, general_share=share, seed=13)
    n_chosen = sum(i.known_safe for i in chosen)
    assert (len(chosen) - n_chosen, n_chosen) == expected


def test_examples_carry_the_words_of_their_guidelines_as_they_stood_in_front(
    engine: Engine, settings: Settings, registry: Registry, live: Release, server: ModelServer
) -> None:
    made = build_dataset(engine=engine, settings=settings, registry=registry)
    assert made.n_general == 2
    asked = {request.last: request.messages for request in server.requests}
    for example in load_dataset(engine=engine, settings=settings).examples:
        assert example.guidelines
        assert example.messages()[:-1] == asked[example.prompt]


def test_a_release_without_embeddings_never_answers_unguided(
    engine: Engine, settings: Settings, registry: Registry, live: Release, server: ModelServer
) -> None:
    with engine.begin() as connection:
        connection.execute(text("delete from core.embeddings"))
    with pytest.raises(IntegrityError, match="embed the library"):
        retrieve(["Hello"], engine=engine, settings=settings, registry=registry, release=live)
    assert server.requests == []


def test_nothing_live_is_said(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="nothing is live"):
        build_dataset(engine=engine, settings=settings, registry=Registry("sqlite://"))
