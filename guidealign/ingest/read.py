"""The verb of this room: read a source into inputs and rejects."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Engine

from guidealign.db import guard_database
from guidealign.errors import BadInputError
from guidealign.ingest import store
from guidealign.ingest._readers import Record, read_source
from guidealign.ingest._text import normalize_text
from guidealign.ingest.model import (
    INBOX_SOURCE,
    BadRecord,
    CleanInput,
    IngestResult,
    Partition,
    RawRecord,
    SourceSpec,
)
from guidealign.settings import IngestSettings, Settings

CHUNK_RECORDS = 500
_BLOCK_BYTES = 1 << 20

log = structlog.get_logger()


def ingest_source(
    spec: SourceSpec, *, engine: Engine, settings: Settings, run_key: str | None = None
) -> IngestResult:
    """Reads what is new in a source, chunk by chunk, each chunk with its watermark.

    A reader that is killed loses the chunk it was in and nothing else: the next one goes
    on behind the last chunk that was stored. A partition is read whole; where nothing in it is
    new, nothing is written at all.

    Raises:
        BadInputError: the source as a whole is wrong (single bad records become rejects).
        ServiceUnavailableError: a database is away, or another run reads this source.
    """
    with guard_database(), store.source_lock(engine, spec.reading):
        before = store.read_watermark(engine, spec.reading)
        start = _start(spec, before)
        found = read_source(spec, start.get("value"), engine=engine)
        records = islice(found, start["records"], None)
        reading = _Reading(spec, start, engine, settings.ingest, run_key)
        total: Counter[str] = Counter()
        for chunk in _chunks(records):
            total.update(reading.store_chunk(chunk))
    batch_id = reading.batch_id
    log.info("ingested", source=spec.name, batch_id=batch_id, **_figures(total))
    reasons = {key[7:]: n for key, n in total.items() if key.startswith("reason:")}
    return IngestResult(batch_id=batch_id, **_figures(total), reject_reasons=reasons)


def prune_inbox(*, engine: Engine, settings: Settings) -> int:
    """Deletes what has been in the gateway's inbox for longer than `inbox.retention_days`.

    Only what ingest has read, or never will, since its key logs nothing any more. Returns how
    many inputs were deleted.

    Raises:
        ServiceUnavailableError: the database does not answer.
    """
    with guard_database(), engine.begin() as connection:
        return store.prune_inbox(
            connection, INBOX_SOURCE, retention_days=settings.inbox.retention_days
        )


def bundled_inbox() -> Path:
    """The inputs that ship with guidealign, for a first cycle."""
    return Path(__file__).resolve().parents[1] / "starter" / "inbox.jsonl"


def _figures(total: Counter[str]) -> dict[str, int]:
    names = ("read", "new", "duplicate", "near_duplicate", "rejected")
    return {f"n_{name}": total[name] for name in names}


def _start(spec: SourceSpec, before: dict[str, Any] | None) -> dict[str, Any]:
    """Where to start: {"records": to skip, "digest": of the file, "size": in bytes, "value"}."""
    if spec.partition:
        return {"records": 0, **_bounds(spec.partition)}
    if spec.kind in {"sql", "inbox"}:
        keeps_mark = spec.kind == "inbox" or spec.watermark_field
        value = (before or {}).get("value") if keeps_mark else None
        return {"records": 0, "value": value}
    size = (before or {}).get("size", 0)
    digest, prefix = _file_digests(Path(spec.uri), size)
    # Text files grow at their end; a Parquet file is written whole.
    grown = spec.kind in {"jsonl", "csv"} and prefix is not None
    same = before is not None and (
        before["digest"] == digest or (grown and before["digest"] == prefix)
    )
    return {
        "records": before["records"] if same and before else 0,
        "digest": digest,
        "size": Path(spec.uri).stat().st_size,
    }


def _bounds(partition: Partition) -> dict[str, str]:
    return {"start": partition.start.isoformat(), "end": partition.end.isoformat()}


def _file_digests(file: Path, prefix_bytes: int) -> tuple[str, str | None]:
    """SHA-256 of the whole file and of its first `prefix_bytes`, in one reading."""
    whole, left = hashlib.sha256(), prefix_bytes
    prefix = None
    try:
        with file.open("rb") as stream:
            while block := stream.read(min(left, _BLOCK_BYTES) if left else _BLOCK_BYTES):
                whole.update(block)
                left -= min(left, len(block))
                if left == 0 and prefix is None and prefix_bytes:
                    prefix = whole.hexdigest()
    except OSError as error:
        raise BadInputError(f"{file} cannot be read: {error.strerror}") from error
    return whole.hexdigest(), prefix


def _chunks(records: Iterator[Record]) -> Iterable[list[Record]]:
    while chunk := list(islice(records, CHUNK_RECORDS)):
        yield chunk


@dataclass
class _Reading:
    """One reading under way: where it is, and the batch that its chunks belong to."""

    spec: SourceSpec
    start: dict[str, Any]
    engine: Engine
    settings: IngestSettings
    run_key: str | None
    batch_id: int | None = None

    def store_chunk(self, chunk: list[Record]) -> Counter[str]:
        good, bad = _sort_out(chunk, self.settings)
        self._advance(chunk)
        with self.engine.begin() as connection:
            opened = self.batch_id
            if opened is None:
                digest = self.start.get("digest")
                opened = store.open_batch(
                    connection, self.spec, digest=digest, run_key=self.run_key
                )
            counts, changed = self._store(connection, opened, chunk, good, bad)
            if changed or not self.spec.partition:
                self.batch_id = opened
            else:
                connection.rollback()
        return Counter(counts) + Counter(f"reason:{record.reason}" for record in bad)

    def _store(
        self,
        connection: Connection,
        batch_id: int,
        chunk: list[Record],
        good: list[CleanInput],
        bad: list[BadRecord],
    ) -> tuple[dict[str, int], bool]:
        """Writes a chunk; its figures, and whether anything in it was new."""
        spec = self.spec
        new = store.insert_inputs(connection, good, source=spec.name, batch_id=batch_id)
        near = store.mark_near_duplicates(
            connection, new, threshold=self.settings.near_duplicate_threshold
        )
        known = store.known_rejects(connection, spec)
        rejects = [record for record in bad if (record.line, record.reason) not in known]
        store.insert_rejects(connection, rejects, spec=spec, batch_id=batch_id)
        counts = {
            "read": len(chunk),
            "new": len(new),
            "duplicate": len(good) - len(new),
            "near_duplicate": near,
            "rejected": len(bad),
        }
        store.add_to_batch(connection, batch_id, counts, self.start)
        store.write_watermark(connection, spec.reading, self.start)
        return counts, bool(new or rejects)

    def _advance(self, chunk: list[Record]) -> None:
        self.start["records"] += len(chunk)
        marks = [r.watermark for r in chunk if isinstance(r, RawRecord)]
        known = [mark for mark in marks if mark is not None]
        if known:
            self.start["value"] = _json_value(known[-1])


def _json_value(value: Any) -> Any:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def _sort_out(
    chunk: list[Record], settings: IngestSettings
) -> tuple[list[CleanInput], list[BadRecord]]:
    good: list[CleanInput] = []
    bad: list[BadRecord] = []
    for record in chunk:
        cleaned = record if isinstance(record, BadRecord) else _clean(record, settings)
        if isinstance(cleaned, BadRecord):
            bad.append(cleaned)
        else:
            good.append(cleaned)
    return good, bad


def _clean(record: RawRecord, settings: IngestSettings) -> CleanInput | BadRecord:
    if not isinstance(record.text, str):
        kind = "nothing" if record.text is None else type(record.text).__name__
        return BadRecord(record.line, "wrong_type", f"the text is {kind}, not a string")
    words = normalize_text(record.text)
    if len(words) < settings.min_chars:
        detail = "no text is left after normalising" if not words else "the text is too short"
        return BadRecord(record.line, "empty" if not words else "too_short", detail)
    if len(words) > settings.max_chars:
        detail = f"{len(words)} characters; the limit is {settings.max_chars}"
        return BadRecord(record.line, "too_long", detail, words[:500])
    return CleanInput(record.line, words, record.source_id, record.occurred_at)
