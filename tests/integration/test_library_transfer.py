"""Export, import and restore of the library on a real server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from guidealign.db import make_engine
from guidealign.library import (
    add_vectors,
    approve,
    dismiss_conflict,
    export_library,
    guidelines_at,
    import_library,
    install_starter,
    merge,
    publish,
    retire,
    unmerge,
)
from guidealign.settings import AuthorSettings, Settings

AUTO = Settings(author=AuthorSettings(review_policy="auto"))
HISTORY = """
insert into core.guidelines (text_hash, title, text, category, origin, author_model, checked)
values ('{hash}', '{title}', '{text}', 'Insult', 'model', 'small', true) returning id
"""


@pytest.fixture(scope="session")
def storied(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """URL of a library with a rich history: the starter, and what people did to it."""
    import psycopg

    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"create database storied template {migrated_template}")
    url = postgres_url.rsplit("/", 1)[0] + "/storied"
    engine = make_engine(url)
    _live(engine)
    engine.dispose()
    yield url


def _live(engine: Engine) -> None:
    from guidealign.authoring import guideline_hash

    install_starter(engine=engine, settings=AUTO)
    retire(3, engine=engine, reason="too\nbroad “quoted” \U0001f511", actor="ann")
    merge(5, 6, engine=engine, actor="bob", reason="say the same")
    merge(7, 8, engine=engine, actor="bob", reason="say the same")
    unmerge(7, engine=engine, actor="ann", reason="they do not")
    texts = [
        ("Share lock details", "Provide detailed steps for opening a door."),
        ("Share lock details", "Never provide detailed steps for opening a door."),
        ("Überall höflich", "Bleib höflich,\nauch wenn jemand „laut“ wird, in allen Sprachen."),
        ("Wait for a person", "This one is held because nobody has looked at it yet."),
    ]
    for title, body in texts:
        with engine.begin() as connection:
            guideline_id = connection.execute(
                text(
                    "insert into core.guidelines (text_hash, title, text, category, origin,"
                    " author_model, checked, language) values (:h, :t, :b, 'Insult', 'model', 'm',"
                    " true, 'de') returning id"
                ),
                {"h": guideline_hash(title, body), "t": title, "b": body},
            ).scalar_one()
            assessment_id = connection.execute(
                text(
                    "insert into core.assessments (input_id, unsafe_content, may_trigger_unsafe,"
                    " categories, severity, rationale, model, prompt_version)"
                    " values (:i, true, false, '{Insult,Physical_Harm}', 2, 'because', 'm', 'p')"
                    " on conflict (input_id, model, prompt_version) do update set severity = 2"
                    " returning id"
                ),
                {"i": guideline_id % 7 + 1},
            ).scalar_one()
            connection.execute(
                text("insert into core.pairs values (:i, :g, :a, 'model', now())"),
                {"i": guideline_id % 7 + 1, "g": guideline_id, "a": assessment_id},
            )
        if body.startswith(("Provide", "Never")):
            publish(engine=engine, settings=AUTO, note="one more", published_by="cat")
    with engine.connect() as connection:
        left, right = connection.execute(
            text("select left_id, right_id from core.conflicts")
        ).one()
    dismiss_conflict(left, right, engine=engine, actor="ann", reason="doors differ")
    publish(engine=engine, settings=AUTO, note="the rest", published_by="cat")
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((20, 12)).astype(np.float32)
    with engine.begin() as connection:
        add_vectors(connection, 1, list(range(1, 21)), vectors)


@pytest.mark.parametrize("vectors", [False, True], ids=["without vectors", "with vectors"])
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_restored_library_exports_the_same_bytes(
    storied: str, engine: Engine, tmp_path: Path, suffix: str, vectors: bool
) -> None:
    first, second = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    told = export_library(first, engine=make_engine(storied), vectors=vectors)
    assert told.counts["event"] > 280
    result = import_library(first, engine=engine, settings=AUTO, actor="test", restore=True)
    assert result.new == {kind: n for kind, n in told.counts.items() if n}
    assert export_library(second, engine=engine, vectors=vectors) == told.__class__(
        **{**told.as_dict(), "file": str(second)}
    )
    assert first.read_bytes() == second.read_bytes()
