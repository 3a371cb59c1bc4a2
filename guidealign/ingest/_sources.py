"""A source that is open: its records behind the last reading, and the mark behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Engine

from guidealign.errors import BadInputError
from guidealign.ingest._columnar import read_table
from guidealign.ingest._delimited import read_header, read_rows
from guidealign.ingest._files import file_digests, open_text
from guidealign.ingest._jsonl import is_document, read_document, read_lines
from guidealign.ingest._queries import mark_of, read_inbox, read_query, reject_key
from guidealign.ingest._records import Record
from guidealign.ingest.model import BadRecord, SourceSpec
from guidealign.settings import IngestSettings

Mark = dict[str, Any]
_MOST_REJECTED = 10_000
"""Keys of rejected rows that a query's mark keeps, so that reading them again adds no rejects."""


class OpenSource(Protocol):
    """What a reading needs of a source."""

    notes: list[str]
    goes_on: bool
    """Behind a mark; else from the start."""

    @property
    def digest(self) -> str | None:
        """SHA-256 of a file."""

    def records(self) -> Iterator[Record]:
        """What comes behind the mark, in order."""

    def mark_behind(self, chunk: Sequence[Record]) -> Mark:
        """The mark once a chunk is stored; chunks come in order."""

    def is_known(self, record: BadRecord, /) -> bool:
        """Whether an earlier reading stored this reject."""


def open_source(
    spec: SourceSpec, mark: Mark | None, *, settings: IngestSettings, engine: Engine | None
) -> OpenSource:
    """A source, to be read from its mark on.

    Args:
        spec: what to read.
        mark: as it was stored; None: from the start.
        settings: of ingest.
        engine: of the guidealign database, which holds the inbox.

    Raises:
        BadInputError: the source as a whole is wrong: no such column, not a Parquet file ...
    """
    if spec.kind == "inbox":
        if engine is None:
            raise BadInputError("the gateway's inbox is read from the guidealign database")
        return _Inbox(spec, mark, engine)
    if spec.kind == "sql":
        return _Query(spec, mark, settings)
    if spec.kind == "parquet":
        return _Counted(spec, mark)
    text = _Text(spec, mark, settings)
    if spec.kind != "csv" and text.is_document:
        return _Counted(spec, mark, text)
    return text


class _Inbox:
    """The gateway's inbox: its mark is the id of the last row."""

    digest = None
    goes_on = True

    def __init__(self, spec: SourceSpec, mark: Mark | None, engine: Engine) -> None:
        self.notes: list[str] = []
        self._spec, self._engine = spec, engine
        self._value = None if spec.partition else (mark or {}).get("value")

    def records(self) -> Iterator[Record]:
        return read_inbox(self._engine, self._spec, self._value)

    def mark_behind(self, chunk: Sequence[Record]) -> Mark:
        self._value = chunk[-1].after
        return _bounds(self._spec) or {"value": self._value}

    def is_known(self, _record: BadRecord, /) -> bool:
        return False


class _Query:
    """A query: its mark is the greatest value of a column, and what was rejected near it."""

    digest = None
    goes_on = True

    def __init__(self, spec: SourceSpec, mark: Mark | None, settings: IngestSettings) -> None:
        self.notes: list[str] = []
        self._spec, self._timeout_s = spec, settings.query_timeout_s
        kept = mark if spec.watermark_field and mark and mark.get("value") is not None else None
        self._mark: Mark | None = None
        if kept:
            self._mark = {"value": kept["value"], "kind": kept.get("kind")}
        self._rejected_before = set((kept or {}).get("rejected", ()))
        self._rejected: list[str] = []

    def records(self) -> Iterator[Record]:
        return read_query(self._spec, self._mark, self.notes, timeout_s=self._timeout_s)

    def mark_behind(self, chunk: Sequence[Record]) -> Mark:
        if bounds := _bounds(self._spec):
            return bounds
        if not self._spec.watermark_field:
            return {}
        for record in chunk:
            self._mark = mark_of(record.after, self._spec.watermark_field) or self._mark
            if isinstance(record, BadRecord):
                self._rejected.append(reject_key(record))
        return {**(self._mark or {"value": None}), "rejected": self._rejected[-_MOST_REJECTED:]}

    def is_known(self, record: BadRecord, /) -> bool:
        return reject_key(record) in self._rejected_before


class _Text:
    """JSON lines or CSV: the mark is an offset, with the digest of the file as it was then.

    A file that no longer begins with what it was, or that became shorter, began anew.
    """

    def __init__(self, spec: SourceSpec, mark: Mark | None, settings: IngestSettings) -> None:
        self.path = Path(spec.uri)
        self.file = open_text(self.path, spec.encoding)
        self.notes = self.file.notes
        known = mark if mark and mark.get("options") == spec.options and "offset" in mark else None
        digests = file_digests(self.path, known["size"] if known else 0)
        self.digest, self._size = digests.whole, digests.size
        self._spec = spec
        self._whole = spec.whole or not self.file.may_grow(settings.quiet_s)
        self._offset = self._line = 0
        self.is_document = spec.kind != "csv" and is_document(self.file, spec.kind)
        self._header = read_header(self.file, spec) if spec.kind == "csv" else None
        if self._header:
            self._offset, self._line = self._header.offset, self._header.line
        # Offsets count bytes of UTF-8: under another encoding they stand elsewhere.
        same = known is not None and known.get("encoding", self.file.encoding) == self.file.encoding
        self.goes_on = known is not None and same and digests.prefix == known["digest"]
        if known is not None and self.goes_on:
            self._offset, self._line = known["offset"], known["line"]
        elif known is not None:
            what = "what it was up to where it was read" if same else "in the encoding that it had"
            self.notes.append(f"{self.path.name} is not {what}: it was read from its start")

    def records(self) -> Iterator[Record]:
        read: dict[str, Any] = {"whole": self._whole}
        if self._header:
            return read_rows(self.file, self._spec, self._header, self._offset, self._line, **read)
        return read_lines(self.file, self._spec, self._offset, self._line, **read)

    def mark_behind(self, chunk: Sequence[Record]) -> Mark:
        offset, line = chunk[-1].after
        # Of as many bytes as there were when it was opened: it may have grown meanwhile.
        read = {"digest": self.digest, "size": self._size}
        place = {"offset": offset, "line": line, "encoding": self.file.encoding}
        return {"options": self._spec.options, **place, **read}

    def is_known(self, _record: BadRecord, /) -> bool:
        return False


class _Counted:
    """Parquet, or one JSON document: written whole, so that the mark counts its rows."""

    def __init__(self, spec: SourceSpec, mark: Mark | None, text: _Text | None = None) -> None:
        self.path = Path(spec.uri)
        self.notes: list[str] = text.notes if text else []
        self.digest = text.digest if text else file_digests(self.path).whole
        self._spec, self._text = spec, text
        seen = (mark or {}).get("digest"), (mark or {}).get("options")
        self.goes_on = seen == (self.digest, spec.options)
        self._done = (mark or {}).get("done", 0) if self.goes_on else 0

    def records(self) -> Iterator[Record]:
        if self._text:
            return read_document(self._text.file, self._spec, self._done)
        return read_table(self.path, self._spec, self._done)

    def mark_behind(self, chunk: Sequence[Record]) -> Mark:
        return {"options": self._spec.options, "digest": self.digest, "done": chunk[-1].after}

    def is_known(self, _record: BadRecord, /) -> bool:
        return False


def _bounds(spec: SourceSpec) -> Mark | None:
    if spec.partition is None:
        return None
    return {"start": spec.partition.start.isoformat(), "end": spec.partition.end.isoformat()}
