"""The starter library: what ships with guidealign becomes version 1."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection, Engine, text

from guidealign.authoring import guideline_hash
from guidealign.db import guard_database
from guidealign.errors import BadInputError
from guidealign.ingest import (
    mark_near_duplicates,
    normalize_text,
    redact_text,
    text_hash,
)
from guidealign.library.publish import latest_version, publish
from guidealign.records import CATEGORIES
from guidealign.settings import Settings

STARTER_FOLDER = Path(__file__).resolve().parents[1] / "starter" / "library"
SOURCE = "starter"

_INSERT_GUIDELINE = text(
    "insert into core.guidelines (text_hash, title, text, category, origin)"
    " values (:text_hash, :title, :text, :category, 'starter')"
    " on conflict (text_hash) do nothing"
)
_GUIDELINE_ID = text("select id from core.guidelines where text_hash = :text_hash")
_INSERT_INPUT = text(
    "insert into core.inputs (text_hash, text, redacted_text, source, source_id, batch_id,"
    " known_category, known_unsafe) values (:text_hash, :text, :redacted_text, 'starter',"
    " :source_id, :batch_id, :category, :unsafe) on conflict (text_hash) do nothing returning id"
)
_INSERT_BATCH = text(
    "insert into core.ingest_batches (source, kind, uri, digest, n_read, n_new, finished_at)"
    " values ('starter', 'starter', 'bundled', :digest, :n, :n, now()) returning id"
)
_INSERT_PAIR = text(
    "insert into core.pairs (input_id, guideline_id, origin)"
    " select id, :guideline_id, 'starter' from core.inputs where text_hash = :text_hash"
    " on conflict do nothing"
)
_BATCH_OF = text("select 1 from core.ingest_batches where source = 'starter' and digest = :digest")


_WAITING = text(
    "select 1 from core.guidelines where origin = 'starter' and state = 'candidate' limit 1"
)


class _Guideline(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str
    title: str = Field(min_length=3)
    text: str = Field(min_length=20)


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str = Field(min_length=1)
    unsafe: bool
    guidelines: list[str] = Field(min_length=1)


class StarterFile(BaseModel):
    """One category of the starter library."""

    model_config = ConfigDict(extra="forbid")
    category: str
    authors: str
    license: str
    guidelines: list[_Guideline]
    inputs: list[_Input]


def read_starter(folder: Path = STARTER_FOLDER) -> list[StarterFile]:
    """Reads and checks all files of a starter library.

    Raises:
        BadInputError: a file is broken, names an unknown category or guideline, or none is there.
    """
    files = [_read(file) for file in sorted(folder.glob("*.yaml"))]
    if not files:
        raise BadInputError(f"{folder} holds no starter library: reinstall guidealign")
    return files


def _read(file: Path) -> StarterFile:
    try:
        content = StarterFile.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise BadInputError(f"{file} is not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise BadInputError(f"{file}: {place}: {first['msg']}") from error
    if content.category not in CATEGORIES:
        raise BadInputError(f"{file}: there is no category {content.category!r}")
    known = {guideline.id for guideline in content.guidelines}
    unknown = {name for item in content.inputs for name in item.guidelines} - known
    if unknown:
        raise BadInputError(f"{file}: there is no guideline {min(unknown)!r}")
    return content


def install_starter(*, engine: Engine, settings: Settings, folder: Path | None = None) -> int:
    """Publishes the starter library; returns the library's version afterwards.

    What was installed before is left alone; files that a later release of guidealign adds
    make a further version.

    Raises:
        BadInputError: a starter file is broken; nothing was written then.
    """
    files = read_starter(folder or STARTER_FOLDER)
    digest = hashlib.sha256("".join(f.model_dump_json() for f in files).encode()).hexdigest()
    with guard_database():
        with engine.begin() as connection:
            known = connection.execute(_BATCH_OF, {"digest": digest}).scalar_one_or_none()
            if known is None:
                _insert(connection, files, digest, settings)
            waiting = connection.execute(_WAITING).scalar_one_or_none()
        if waiting is None:
            return latest_version(engine)
        return publish(
            engine=engine, settings=settings, note="starter library", published_by="guidealign"
        ).version


@dataclass(frozen=True)
class _NewInput:
    category: str
    item: _Input
    source_id: str


def _insert(
    connection: Connection, files: list[StarterFile], digest: str, settings: Settings
) -> None:
    inputs = [
        _NewInput(file.category, item, f"{file.category}-{number:02}")
        for file in files
        for number, item in enumerate(file.inputs, start=1)
    ]
    batch = connection.execute(_INSERT_BATCH, {"digest": digest, "n": len(inputs)}).scalar_one()
    ids = {
        (file.category, guideline.id): _guideline(connection, file.category, guideline)
        for file in files
        for guideline in file.guidelines
    }
    new = list(_insert_inputs(connection, inputs, batch))
    mark_near_duplicates(connection, new, threshold=settings.ingest.near_duplicate_threshold)
    pairs = [
        {
            "guideline_id": ids[entry.category, name],
            "text_hash": text_hash(normalize_text(entry.item.text)),
        }
        for entry in inputs
        for name in entry.item.guidelines
    ]
    connection.execute(_INSERT_PAIR, pairs)


def _guideline(connection: Connection, category: str, guideline: _Guideline) -> int:
    title, body = normalize_text(guideline.title), normalize_text(guideline.text)
    key = {"text_hash": guideline_hash(title, body)}
    connection.execute(
        _INSERT_GUIDELINE, {**key, "title": title, "text": body, "category": category}
    )
    return int(connection.execute(_GUIDELINE_ID, key).scalar_one())


def _insert_inputs(
    connection: Connection, inputs: Iterable[_NewInput], batch: int
) -> Iterable[tuple[int, str]]:
    for entry in inputs:
        words = normalize_text(entry.item.text)
        values: dict[str, Any] = {
            "text_hash": text_hash(words),
            "text": words,
            "redacted_text": redact_text(words),
            "source_id": entry.source_id,
            "batch_id": batch,
            "category": entry.category,
            "unsafe": entry.item.unsafe,
        }
        row_id = connection.execute(_INSERT_INPUT, values).scalar_one_or_none()
        if row_id is not None:
            yield row_id, words
