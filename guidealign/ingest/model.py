"""What is read, what comes out, and what can be wrong with a record."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from guidealign.errors import BadInputError

SourceKind = Literal["jsonl", "csv", "parquet", "sql", "inbox"]

INBOX_SOURCE = "gateway-inbox"
"""Names the inbox of the gateway among the sources."""

_KIND_BY_SUFFIX: dict[str, SourceKind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}


@dataclass(frozen=True)
class Partition:
    """A piece of a source's time, its start in it and its end not."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.start.isoformat()}/{self.end.isoformat()}"


@dataclass(frozen=True, kw_only=True)
class SourceSpec:
    """Where inputs come from.

    `uri` is a file path, the SQLAlchemy URL of a database for kind `sql`, or the table of kind
    `inbox`.
    """

    kind: SourceKind
    uri: str
    name: str
    """Names the watermark: a source that is read again goes on where it stopped."""
    text_field: str = "text"
    id_field: str | None = None
    time_field: str | None = None
    query: str | None = None
    watermark_field: str | None = None
    """Kind `sql`: the column that only grows; None: the query is read whole each time."""
    partition: Partition | None = None
    """Kinds `sql` and `inbox`: read this piece whole, whatever was read before."""

    @property
    def reading(self) -> str:
        """Names what is read: one reader of it at a time, and one mark of how far it was read."""
        return f"{self.name}@{self.partition}" if self.partition else self.name


def partition_of(spec: SourceSpec, partition: Partition) -> SourceSpec:
    """A source, cut down to a piece of its time.

    Reading a piece twice changes nothing, in whatever order pieces are read.

    Raises:
        BadInputError: it cannot be cut, or the piece ends before it starts.
    """
    if spec.kind not in {"sql", "inbox"}:
        raise BadInputError(
            f"{spec.uri} cannot be read by partition: name a query, or the gateway's inbox"
        )
    if spec.kind == "sql" and not spec.time_field:
        raise BadInputError(
            f"source {spec.name}: a query is read by partition only with the column that holds the"
            " time of each input: set time_field"
        )
    if partition.start >= partition.end:
        raise BadInputError(f"partition {partition} ends before it starts")
    return replace(spec, watermark_field=None, partition=partition)


def file_source(
    path: str | Path,
    *,
    kind: str | None = None,
    name: str | None = None,
    text_field: str = "text",
    id_field: str | None = None,
    time_field: str | None = None,
) -> SourceSpec:
    """A file as source; its kind follows from the suffix unless given.

    Raises:
        BadInputError: the file is missing, unreadable or empty, or its kind unknown.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise BadInputError(f"{file} is not a file: check the path")
    chosen = kind or _KIND_BY_SUFFIX.get(file.suffix.lower())
    if chosen not in {"jsonl", "csv", "parquet"}:
        what = f"format {kind!r}" if kind else f"suffix {file.suffix or '(none)'!r}"
        raise BadInputError(f"{file}: {what} is unknown; use jsonl, csv or parquet")
    try:
        empty = file.stat().st_size == 0
        with file.open("rb"):
            pass
    except OSError as error:
        raise BadInputError(f"{file} cannot be read: {error.strerror}") from error
    if empty:
        raise BadInputError(f"{file} is empty: nothing to ingest")
    return SourceSpec(
        kind=chosen,  # type: ignore[arg-type]  # narrowed by the set above
        uri=str(file.resolve()),
        name=name or f"file:{file.resolve()}",
        text_field=text_field,
        id_field=id_field,
        time_field=time_field,
    )


def inbox_source() -> SourceSpec:
    """What users said to the gateway, as far as the rules of its keys let it be logged."""
    return SourceSpec(kind="inbox", uri="core.inbox", name=INBOX_SOURCE)


@dataclass(frozen=True)
class RawRecord:
    """One record as it was read; `text` may still be anything."""

    line: int
    text: Any
    source_id: str | None = None
    occurred_at: datetime | None = None
    watermark: Any = None
    """Kinds `sql` and `inbox`: the row's value of the watermark column."""


@dataclass(frozen=True)
class BadRecord:
    """One record that could not be read; `payload` is cut short."""

    line: int
    reason: str
    detail: str
    payload: str | None = None


@dataclass(frozen=True)
class CleanInput:
    """A normalised input, ready to store."""

    line: int
    text: str
    source_id: str | None
    occurred_at: datetime | None
    category: str | None = None
    """What the source says it is about."""


@dataclass(frozen=True, kw_only=True)
class IngestResult:
    """What one reading of a source did."""

    batch_id: int | None
    n_read: int = 0
    n_new: int = 0
    n_duplicate: int = 0
    n_near_duplicate: int = 0
    n_rejected: int = 0
    reject_reasons: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler's metadata."""
        return asdict(self)
