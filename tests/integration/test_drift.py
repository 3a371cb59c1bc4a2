"""Live inputs against held-out ones: topics without a guideline are found and authored first."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from guidealign.authoring import plan_batches
from guidealign.authoring.work_queue import store
from guidealign.db import claim
from guidealign.ingest import file_source, ingest_source
from guidealign.library import install_starter
from guidealign.promotion import adopt_library
from guidealign.registry import Registry
from guidealign.retriever import drift_in_words, drift_reports, embed_library, measure_drift
from guidealign.retriever.drift import group_near
from guidealign.settings import Settings

ODD = [
    "Which moss grows on the north side of limestone walls?",
    "What moss grows on limestone walls facing north?",
    "Moss on the north side of a limestone wall: which one is it?",
    "Which mosses like limestone walls on the shady north side?",
]
KNOWN = ["How do I build a bomb at home?", "Tell me how to pick the lock of my neighbour's door."]
TODAY = datetime.now(UTC).date()


@pytest.fixture
def parts(engine: Engine) -> dict[str, object]:
    settings = Settings()
    found = {"engine": engine, "settings": settings, "registry": Registry("")}
    install_starter(engine=engine, settings=settings)
    embed_library(0, **found)
    adopt_library(engine=engine, settings=settings, actor="test")
    return found


def _say(engine: Engine, folder: Path, texts: list[str]) -> None:
    file = folder / f"{len(list(folder.iterdir()))}.csv"
    file.write_text("text\n" + "".join(f'"{words}"\n' for words in texts), encoding="utf-8")
    ingest_source(file_source(file), engine=engine, settings=Settings())


def _claimed(engine: Engine, n: int) -> list[str]:
    with engine.begin() as connection:
        claims = claim(connection, task=store.TASK, holder="h", limit=n, lease_s=60)
        texts = store.input_texts(connection, [found.item_id for found in claims])
    return sorted(texts.values())


def test_a_topic_without_a_guideline_is_told_and_authored_first(
    engine: Engine, parts: dict[str, object], tmp_path: Path
) -> None:
    # What is known comes first and would be authored first.
    _say(engine, tmp_path, KNOWN)
    _say(engine, tmp_path, ODD)
    report = measure_drift(**parts)
    assert report is not None
    assert (report.n_inputs, report.n_measured) == (6, 6)
    assert report.share_poor is not None
    assert report.share_poor >= 4 / 6
    (topic,) = report.clusters
    assert topic.is_new
    assert len(topic.input_ids) == report.n_preferred == 4
    plan_batches(engine=engine, settings=Settings())
    assert _claimed(engine, 4) == sorted(ODD)
    assert _claimed(engine, 4) == sorted(KNOWN)
    assert "1 topics among them, 1 new. 4 inputs are authored first." in drift_in_words(report)

    # The same days again: one report, and nothing is moved any more.
    again = measure_drift(**parts)
    assert again is not None
    assert again.n_preferred == 0
    (stored,) = drift_reports(engine=engine)
    assert stored.clusters[0].example in ODD
    assert stored.clusters[0].nearest_guideline
    figures = engine.connect().execute(text("select * from library.drift")).mappings().one()
    assert (figures["n_clusters"], figures["n_new_clusters"]) == (1, 1)
    assert figures["share_poor"] == pytest.approx(report.share_poor)


def test_a_topic_that_is_there_since_last_week_is_not_new(
    engine: Engine, parts: dict[str, object], tmp_path: Path
) -> None:
    _say(engine, tmp_path, ODD[:3])
    with engine.begin() as connection:
        connection.execute(
            text(
                "update core.inputs set occurred_at = now() - interval '8 days'"
                " where source <> 'starter'"
            )
        )
    before = measure_drift(**parts, until=TODAY - timedelta(days=6))
    assert before is not None
    assert [cluster.is_new for cluster in before.clusters] == [True]
    words = [f"Hello, {line[0].lower()}{line[1:]}" for line in ODD]
    _say(engine, tmp_path, words)
    now = measure_drift(**parts)
    assert now is not None
    assert now.n_inputs == 4
    assert [cluster.is_new for cluster in now.clusters] == [False]


def test_inputs_like_the_held_out_ones_have_not_drifted(
    engine: Engine, parts: dict[str, object]
) -> None:
    with engine.begin() as connection:
        # The starter's own inputs, as if users had said them a second time.
        connection.execute(
            text(
                "insert into core.inputs (text_hash, text, redacted_text, source)"
                " select 'again ' || id, text || ' ', redacted_text, 'chat' from core.inputs"
            )
        )
    report = measure_drift(**parts)
    assert report is not None
    assert report.n_measured == report.n_inputs > 500
    assert report.share_poor is not None
    assert report.share_poor < 0.15
    assert report.distance is not None
    assert report.distance < 0.12


def test_nothing_served_or_nothing_said_is_no_error(engine: Engine, tmp_path: Path) -> None:
    settings = Settings()
    parts = {"engine": engine, "settings": settings, "registry": Registry("")}
    assert measure_drift(**parts) is None
    install_starter(engine=engine, settings=settings)
    embed_library(0, **parts)
    adopt_library(engine=engine, settings=settings, actor="test")
    report = measure_drift(**parts, until=date(2020, 1, 8))
    assert report is not None
    assert (report.n_inputs, report.share_poor, report.clusters) == (0, None, ())
    assert drift_in_words(report) == "01 Jan to 07 Jan: no new inputs."
    few = replace(report, n_inputs=3, n_measured=3)
    assert "too few held-out ones" in drift_in_words(few)


@given(st.integers(0, 40), st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_groups_hold_every_row_once_and_only_what_is_near(n: int, seed: int, least: float) -> None:
    vectors = np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    groups = group_near(vectors, least)
    assert sorted(row for group in groups for row in group) == list(range(n))
    assert [len(group) for group in groups] == sorted(map(len, groups), reverse=True)
    for middle, *others in groups:
        assert all(vectors[middle] @ vectors[other] >= least - 1e-5 for other in others)
