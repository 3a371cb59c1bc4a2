"""Reads a file as ingest does, without a database."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from guidealign.ingest import file_source
from guidealign.ingest._sources import open_source
from guidealign.ingest.model import BadRecord, CleanInput
from guidealign.ingest.read import clean_record
from guidealign.settings import IngestSettings

WHOLE = IngestSettings(quiet_s=0)


class Reading(NamedTuple):
    """What came of a file, and the mark behind it."""

    texts: list[str]
    rejects: list[tuple[int, str]]
    notes: list[str]
    mark: dict[str, Any] | None
    inputs: list[CleanInput]


def read(
    path: Path,
    mark: dict[str, Any] | None = None,
    *,
    settings: IngestSettings = WHOLE,
    **options: Any,
) -> Reading:
    """Every record of a file behind a mark."""
    source = open_source(file_source(path, **options), mark, settings=settings, engine=None)
    records = list(source.records())
    made = [r if isinstance(r, BadRecord) else clean_record(r, settings) for r in records]
    inputs = [item for item in made if isinstance(item, CleanInput)]
    return Reading(
        [item.text for item in inputs],
        [(item.line, item.reason) for item in made if isinstance(item, BadRecord)],
        list(source.notes),
        source.mark_behind(records) if records else mark,
        inputs,
    )


def write(folder: Path, name: str, content: bytes | str) -> Path:
    """A file with that content."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
