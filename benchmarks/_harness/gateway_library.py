"""A library of any size with real vectors of the encoder, and what users ask of it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sqlalchemy import Engine, text

from benchmarks._harness.synthetic_library import Vectors, fill, reworded
from guidealign.db import make_engine, store_policy
from guidealign.guidance import proposed_policy
from guidealign.library import add_vectors, build_index, read_starter
from guidealign.records import UNTRAINED_VERSION
from guidealign.registry import Registry
from guidealign.retriever import load_serving_encoder, prepare_base
from guidealign.settings import Settings, load_settings

PAPERS = 33_000
"""Guidelines of the paper's library."""
_ROWS = 2_000


def fill_library(url: str, n: int, settings: Settings) -> int:
    """n guidelines, embedded by the untrained encoder, released; the release's id.

    Ids count from 1 and are in the titles ("Guideline 7"), so that a prompt can be checked.
    Vectors are kept in the cache folder for the next run.
    """
    engine = make_engine(url)
    if not n_guidelines(engine):
        fill(url, np.zeros((n, 1), dtype=np.float32), retrievers=(), start=1)
    embed_missing(engine, settings)
    build_index(UNTRAINED_VERSION, engine=engine, settings=settings)
    release = add_release(engine)
    engine.dispose()
    return release


def n_guidelines(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("select count(*) from core.guidelines")).scalar_one())


def add_release(engine: Engine, note: str = "bench") -> int:
    """What is newest in the library goes live; the release's id."""
    insert = text(
        "insert into core.releases (library_version, retriever_version, labrador_version,"
        " policy_version, actor, reason) select max(version), :retriever, 0, :policy, 'bench',"
        " :note from core.library_versions returning id"
    )
    with engine.begin() as connection:
        connection.execute(text("select core.publication_lock()"))
        policy = store_policy(connection, proposed_policy(Settings()), actor="bench")
        values = {"retriever": UNTRAINED_VERSION, "note": note, "policy": policy}
        return int(connection.execute(insert, values).scalar_one())


def embed_missing(engine: Engine, settings: Settings) -> None:
    """Vectors of what has none, out of the cache where it was embedded before."""
    missing = text(
        "select g.id, g.title, g.text from core.guidelines g where g.state = 'active' and not"
        " exists (select from core.embeddings e where e.guideline_id = g.id and"
        " e.retriever_version = :retriever) order by g.id"
    )
    with engine.connect() as connection:
        rows = list(connection.execute(missing, {"retriever": UNTRAINED_VERSION}))
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        vectors = _vectors([f"{row.title}: {row.text}" for row in part], settings)
        with engine.begin() as connection:
            add_vectors(connection, UNTRAINED_VERSION, [row.id for row in part], vectors)


def _vectors(texts: Sequence[str], settings: Settings) -> Vectors:
    base = settings.retriever.base_model
    digest = hashlib.sha256("\n".join([base, *texts]).encode()).hexdigest()
    file = cache_folder(settings) / f"vectors-{digest[:32]}.npy"
    if file.exists():
        kept: Vectors = np.load(file)
        return kept
    encoder = load_serving_encoder(UNTRAINED_VERSION, settings=settings, registry=Registry(""))
    vectors: Vectors = encoder.encode(texts, side="guideline")
    np.save(file, vectors)
    return vectors


def cache_folder(settings: Settings | None = None) -> Path:
    """Of the gateway's benchmark."""
    settings = settings or load_settings()
    folder = settings.platform.cache.expanduser() / "bench-gateway"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def encoder_folder() -> Path:
    """The untrained encoder as it serves: `model.onnx` and its tokenizer."""
    return prepare_base(load_settings())


def guidelines(engine: Engine) -> list[tuple[int, str, str]]:
    """Id, title and text of what is active."""
    query = text("select id, title, text from core.guidelines where state = 'active' order by id")
    with engine.connect() as connection:
        return [(row.id, row.title, row.text) for row in connection.execute(query)]


def questions(n: int) -> list[str]:
    """User messages of the length that users' are, no two alike: the starter inputs, reworded."""
    rng = random.Random(0)  # noqa: S311 - no secret
    inputs = [given.text for file in read_starter() for given in file.inputs]
    # A dict keeps the order, which a set does not from run to run.
    found: dict[str, None] = {}
    while len(found) < n:
        found[reworded(rng.choice(inputs), rng, strength=0.2)] = None
    return list(found)
