"""Whoever asks for guidelines gets what the engine gives: the same inputs through every door."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy import Engine, text

from guidealign.alignment import retrieve
from guidealign.db import current_release, make_engine, store_policy
from guidealign.evaluation.benchmarks import (
    Benchmark,
    BenchmarkCase,
    BenchmarkSubject,
    answer_benchmark,
)
from guidealign.guidance import Candidate, ReleaseGuidance, clear_canary, declare_canary
from guidealign.library import install_starter
from guidealign.records import Release
from guidealign.replay import recorded_in_file, run_replay
from guidealign.retriever import embed_library, load_guidance, measure_drift
from guidealign.serving import Guide
from guidealign.settings import Settings, UpstreamSettings
from tests.conftest import copied_database
from tests.fakes.model_server import ModelServer, serve_model
from tests.fakes.policies import policy
from tests.integration.authoring_fixture import add_inputs
from tests.integration.llm_fixture import endpoint
from tests.integration.running_gateway import (
    NOBODY,
    Gateway,
    release,
    serve_gateway,
    untrained,
    wait_until,
)

N_INPUTS, N_CONVERSATIONS = 200, 50
FOLLOW_UPS = ("And why is that?", "How exactly?", "Tell me more about the second point, please.")
# The untrained encoder knows no thresholds; with these all three outcomes occur.
POLICY = policy(topic_rule="cosine", unsafe_threshold=0.45, quality_threshold=0.3)
Ids = list[int]


@dataclass
class World:
    """The starter library, released, and what is asked of it."""

    engine: Engine
    database_url: str
    release: Release
    inputs: list[str]
    conversations: list[list[str]]

    @cached_property
    def engine_gives(self) -> list[Ids]:
        """For every input, then for every conversation."""
        guidance = load_guidance(
            self.release, engine=self.engine, settings=Settings(), registry=NOBODY
        )
        return [[g.guideline_id for g in found.guidelines] for found in guidance.find(self.asked)]

    @property
    def asked(self) -> list[list[str]]:
        """A user's turns each."""
        return [*([said] for said in self.inputs), *self.conversations]


@pytest.fixture(scope="module")
def library_template(postgres_url: str, migrated_template: str) -> str:
    """Name of a database with the starter library, released; it is copied for each test."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"create database template_doors template {migrated_template}")
    engine = make_engine(postgres_url.rsplit("/", 1)[0] + "/template_doors")
    install_starter(engine=engine, settings=Settings())
    embed_library(0, engine=engine, settings=Settings(), registry=NOBODY)
    release(engine, policy=POLICY)
    engine.dispose()
    return "template_doors"


@pytest.fixture
def world(postgres_url: str, library_template: str) -> Iterator[World]:
    with copied_database(postgres_url, library_template) as url:
        engine = make_engine(url)
        yield _world(engine, url)
        engine.dispose()


def _world(engine: Engine, database_url: str) -> World:
    with engine.connect() as connection:
        query = text("select text from core.inputs order by md5(text)")
        texts = [str(said) for said in connection.execute(query).scalars()]
    drawn = random.Random(7)
    long = " ".join(texts[:12])
    inputs = [*texts[: N_INPUTS - 2], long, f"{texts[0]} {'and so on ' * 90}{texts[1]}"]
    conversations = []
    for _ in range(N_CONVERSATIONS):
        n_more = drawn.randrange(1, 10)
        pools = [texts, *(drawn.choices([FOLLOW_UPS, texts], weights=[3, 2], k=n_more))]
        conversations.append([drawn.choice(pool) for pool in pools])
    live = current_release(engine)
    assert live is not None
    return World(engine, database_url, live, inputs, conversations)


@pytest.fixture
def upstream() -> Iterator[ModelServer]:
    with serve_model(lambda _: "Hello.") as server:
        yield server


@pytest.fixture
def gateway(world: World, upstream: ModelServer, tmp_path: Path) -> Iterator[Gateway]:
    behind = [UpstreamSettings(name="stub", base_url=upstream.base_url, api_key="k")]
    with serve_gateway(world.database_url, behind, tmp_path / "kept") as running:
        yield running


def messages_of(turns: list[str]) -> list[dict[str, str]]:
    messages: list[dict[str, str]] = []
    for turn in turns:
        messages += [{"role": "user", "content": turn}, {"role": "assistant", "content": "Hm."}]
    return messages[:-1]


def through_chat(gateway: Gateway, asked: list[list[str]]) -> list[Ids]:
    given: list[Ids] = []
    with httpx.Client(timeout=30) as client:
        for turns in asked:
            answer = client.post(
                f"{gateway.base_url}/chat/completions",
                json={"model": "m", "messages": messages_of(turns)},
            )
            shown = answer.headers.get("x-guidealign-guidelines", "").split(",")
            injected = answer.headers["x-guidealign-status"] == "injected"
            given.append([int(pair.split(":")[0]) for pair in shown] if injected else [])
    return given


def differ(one: list[Ids], other: list[Ids]) -> int:
    assert len(one) == len(other)
    return sum(a != b for a, b in zip(one, other, strict=True))


def test_the_inputs_tell_the_rules_apart(world: World) -> None:
    assert (len(world.inputs), len(world.conversations)) == (N_INPUTS, N_CONVERSATIONS)
    given = [bool(ids) for ids in world.engine_gives]
    assert 0.1 < sum(given) / len(given) < 0.95


def test_the_gateway(world: World, gateway: Gateway) -> None:
    assert differ(through_chat(gateway, world.asked), world.engine_gives) == 0
    found = []
    for turns in world.asked:
        answer = httpx.post(
            f"{gateway.base_url}/guidelines/retrieve", json={"messages": messages_of(turns)}
        )
        found.append([guideline["id"] for guideline in answer.json()["data"]])
    assert differ(found, world.engine_gives) == 0


def test_a_canary_of_the_same_policy(world: World, gateway: Gateway) -> None:
    # The live release gives other guidelines; the candidate what the engine gives.
    release(world.engine, policy=policy(k=1, topic_rule="always"))
    candidate = Candidate(
        library_version=1, retriever_version=0, policy_version=world.release.policy_version
    )
    declare_canary(candidate, engine=world.engine, actor="test", reason="try")
    guidance = gateway.parts.guidance
    wait_until(lambda: guidance.candidate is not None)
    found = [guidance.find(turns, candidate=True) for turns in world.asked]
    assert {one.release.policy_version for one in found} == {world.release.policy_version}
    given = [[g.guideline_id for g in one.guidelines] for one in found]
    assert differ(given, world.engine_gives) == 0
    clear_canary(engine=world.engine, actor="test", reason="done")


def test_the_python_api_and_the_page_to_try(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUIDEALIGN_DATABASE_URL", world.database_url)
    monkeypatch.setenv("GUIDEALIGN_HOME", str(tmp_path))
    # Version 0 of the retriever needs no registry: nobody is asked there.
    monkeypatch.setenv("GUIDEALIGN_MLFLOW__TRACKING_URI", "http://127.0.0.1:9")
    with Guide.from_registry() as guide:
        guided = [guide.guide(messages_of(turns)) for turns in world.asked]
    given = [[g.guideline_id for g in one.guidelines] for one in guided]
    assert differ(given, world.engine_gives) == 0

    from guidealign_airflow.pages import context
    from guidealign_airflow.pages.try_pages import Tried, find

    context.guide.cache_clear()
    context.platform.cache_clear()
    try:
        shown = [json.loads(bytes(find(Tried(text=said)).body)) for said in world.inputs]
    finally:
        context.guide().close()
        context.guide.cache_clear()
        context.platform.cache_clear()
    given = [[g["id"] for g in one["guidelines"]] for one in shown]
    assert differ(given, world.engine_gives[:N_INPUTS]) == 0


def test_replay(world: World, tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    rows = [{"messages": messages_of(turns)} for turns in world.asked]
    file.write_text("\n".join(json.dumps(row) for row in rows))
    requests = recorded_in_file(file, limit=1_000)
    # Nothing but the number of guidelines differs: the figures are those of the engine.
    with world.engine.begin() as connection:
        none = store_policy(connection, policy(max_tokens=1), actor="test")
    candidate = Candidate(library_version=1, retriever_version=0, policy_version=none)
    replay = run_replay(requests, candidate, engine=world.engine, load=untrained)
    n_given = sum(bool(ids) for ids in world.engine_gives)
    assert replay.figures["changed"]["hits"] == n_given
    guidance = ReleaseGuidance.load(
        world.release, engine=world.engine, load=untrained, exact_up_to=1_000
    )
    found = guidance.find([row.turns for row in requests.rows])
    given = [[g.guideline_id for g in one.guidelines] for one in found]
    assert differ(given, world.engine_gives) == 0
    for example in replay.examples:
        place = int(example.request_id.rpartition(":")[2]) - 1
        assert [g["id"] for g in example.live] == world.engine_gives[place]


def test_aligned_data(world: World) -> None:
    found = retrieve(
        world.inputs,
        engine=world.engine,
        settings=Settings(),
        registry=NOBODY,
        release=world.release,
    )
    given = [[g.guideline_id for g in one.guidelines] for one in found]
    assert differ(given, world.engine_gives[:N_INPUTS]) == 0


def test_evaluations_with_guidelines(world: World, upstream: ModelServer) -> None:
    upstream.responder = lambda _: "Hm."
    cases = tuple(
        BenchmarkCase(case_id=f"{place:03}", category="x", kind="harm", turns=tuple(turns))
        for place, turns in enumerate(world.asked)
    )
    benchmark = Benchmark(name="b", cases=cases, source="here", sha256="0", known_as=None)
    subject = BenchmarkSubject(
        endpoint=endpoint(upstream.base_url), name="m", release=world.release
    )
    run = answer_benchmark(
        benchmark, subject, engine=world.engine, settings=Settings(), registry=NOBODY
    )
    query = text("select case_id, guideline_ids from core.evaluation_answers where run_id = :run")
    with world.engine.connect() as connection:
        rows = connection.execute(query, {"run": run.run_id})
        answered = {row.case_id: row.guideline_ids for row in rows}
    guidance = load_guidance(
        world.release, engine=world.engine, settings=Settings(), registry=NOBODY
    )
    for place, turns in enumerate(world.asked):
        steps = guidance.find([turns[: i + 1] for i in range(len(turns))])
        ids = dict.fromkeys(g.guideline_id for one in steps for g in one.guidelines)
        assert answered[f"{place:03}"] == list(ids)


def test_drift(world: World) -> None:
    said = [f"{words} " for words in world.inputs]
    add_inputs(world.engine, [words.strip() + "!" for words in said])
    guidance = load_guidance(
        world.release, engine=world.engine, settings=Settings(), registry=NOBODY
    )
    found = guidance.find([[words.strip() + "!"] for words in said])
    report = measure_drift(engine=world.engine, settings=Settings(), registry=NOBODY)
    assert report is not None
    assert report.n_measured == N_INPUTS
    assert report.share_abstained == pytest.approx(
        sum(not one.guidelines for one in found) / N_INPUTS
    )
