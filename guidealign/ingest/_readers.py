"""Readers: each yields records or the reason why a line is none, and never stops at one."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.sql.elements import quoted_name

from guidealign.errors import BadInputError, ServiceUnavailableError
from guidealign.ingest.model import BadRecord, RawRecord, SourceSpec

Record = RawRecord | BadRecord
PAYLOAD_CHARS = 500
MAX_LINE_BYTES = 8 * 1024 * 1024
# Ids become visible in their order. What was logged under a key that logs nothing any more is
# left where it is.
_INBOX = text(
    "select i.id, i.response_id, i.text, i.occurred_at from core.inbox i"
    " join core.gateway_keys k on k.id = i.key_id"
    " where i.id > :watermark and k.log <> 'off' order by i.id"
)
_INBOX_PARTITION = text(
    "select i.id, i.response_id, i.text, i.occurred_at from core.inbox i"
    " join core.gateway_keys k on k.id = i.key_id"
    " where i.logged_at >= :start and i.logged_at < :end and k.log <> 'off' order by i.id"
)


def read_source(spec: SourceSpec, watermark: Any = None, *, engine: Engine) -> Iterator[Record]:
    """Reads a source from the start, or a query or the inbox from its watermark.

    Args:
        spec: what to read.
        watermark: of the last record that was read; None: from the start.
        engine: of the guidealign database, which holds the inbox.

    Raises:
        BadInputError: the source as a whole is wrong: no such column, not a Parquet file ...
        ServiceUnavailableError: the source's database does not answer.
    """
    if spec.kind == "jsonl":
        return _read_jsonl(spec)
    if spec.kind == "csv":
        return _read_csv(spec)
    if spec.kind == "parquet":
        return _read_parquet(spec)
    if spec.kind == "inbox":
        return _read_inbox(engine, spec, watermark)
    return _read_sql(spec, watermark)


def _record(line: int, row: dict[str, Any], spec: SourceSpec) -> Record:
    source_id = row.get(spec.id_field) if spec.id_field else None
    occurred_at = row.get(spec.time_field) if spec.time_field else None
    try:
        when = _time(occurred_at)
    except ValueError:
        return BadRecord(line, "bad_time", f"field {spec.time_field!r} is not an ISO 8601 time")
    return RawRecord(
        line,
        row.get(spec.text_field),
        None if source_id is None else str(source_id),
        when,
        row.get(spec.watermark_field) if spec.watermark_field else None,
    )


def _time(value: Any) -> datetime | None:
    if value is None or value == "":
        return None
    when = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _read_jsonl(spec: SourceSpec) -> Iterator[Record]:
    with Path(spec.uri).open("rb") as file:
        line = 0
        while raw := file.readline(MAX_LINE_BYTES):
            line += 1
            if len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
                while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                    pass
                yield BadRecord(line, "too_long", f"the line is over {MAX_LINE_BYTES} bytes")
                continue
            yield _parse_json_line(line, raw, spec)


def _parse_json_line(line: int, raw: bytes, spec: SourceSpec) -> Record:
    try:
        decoded = raw.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        return BadRecord(line, "not_utf8", f"byte {error.start + 1} of the line is not UTF-8")
    if not decoded.strip():
        return BadRecord(line, "empty", "the line is empty")
    try:
        row = json.loads(decoded)
    except (json.JSONDecodeError, RecursionError) as error:
        return BadRecord(line, "broken_json", f"not JSON: {error}"[:200], decoded[:PAYLOAD_CHARS])
    if isinstance(row, str):
        row = {spec.text_field: row}
    if not isinstance(row, dict):
        detail = f"expected an object with field {spec.text_field!r}, got {type(row).__name__}"
        return BadRecord(line, "wrong_type", detail, decoded[:PAYLOAD_CHARS])
    if spec.text_field not in row:
        detail = f"no field {spec.text_field!r}; fields: {', '.join(map(str, row))}"[:200]
        return BadRecord(line, "missing_field", detail, decoded[:PAYLOAD_CHARS])
    return _record(line, row, spec)


def _read_csv(spec: SourceSpec) -> Iterator[Record]:
    # surrogateescape keeps bytes that are not UTF-8 apart, so that one bad row is one reject.
    with Path(spec.uri).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = csv.reader(file)
        header = _csv_header(rows, spec)
        while True:
            line = rows.line_num + 1
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield BadRecord(line, "broken_csv", f"not a CSV row: {error}")
                continue
            yield _parse_csv_row(line, header, cells, spec)


def _csv_header(rows: Any, spec: SourceSpec) -> list[str]:
    try:
        header = [cell.strip() for cell in next(rows)]
    except (StopIteration, csv.Error) as error:
        raise BadInputError(f"{spec.uri} has no CSV header line") from error
    _require_column(spec, header)
    return header


def _require_column(spec: SourceSpec, columns: list[str]) -> None:
    if spec.text_field not in columns:
        raise BadInputError(
            f"{spec.uri if spec.kind != 'sql' else 'the query'} has no column"
            f" {spec.text_field!r}; columns: {', '.join(columns)[:200]}"
        )


def _parse_csv_row(line: int, header: list[str], cells: list[str], spec: SourceSpec) -> Record:
    if not cells:
        return BadRecord(line, "empty", "the line is empty")
    if len(cells) != len(header):
        detail = f"{len(cells)} cells under {len(header)} column names"
        return BadRecord(line, "wrong_columns", detail)
    if any("\udc80" <= c <= "\udcff" for cell in cells for c in cell):
        return BadRecord(line, "not_utf8", "the row holds bytes that are not UTF-8")
    return _record(line, dict(zip(header, cells, strict=True)), spec)


def _read_parquet(spec: SourceSpec) -> Iterator[Record]:
    try:
        file = pq.ParquetFile(spec.uri)
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInputError(f"{spec.uri} is not a Parquet file") from error
    _require_column(spec, file.schema_arrow.names)
    wanted = [spec.text_field, *filter(None, (spec.id_field, spec.time_field))]
    line = 0
    for batch in file.iter_batches(batch_size=1_000, columns=wanted):
        for row in batch.to_pylist():
            line += 1
            yield _record(line, row, spec)


def _read_inbox(engine: Engine, spec: SourceSpec, watermark: Any) -> Iterator[Record]:
    statement, values = _INBOX, {"watermark": watermark or 0}
    if spec.partition:
        statement, values = _INBOX_PARTITION, asdict(spec.partition)
    with engine.connect().execution_options(stream_results=True, yield_per=1_000) as connection:
        for row in connection.execute(statement, values):
            yield RawRecord(row.id, row.text, row.response_id, row.occurred_at, row.id)


def _read_sql(spec: SourceSpec, watermark: Any) -> Iterator[Record]:
    if not spec.query:
        raise BadInputError("a source of kind sql needs a query")
    engine = _source_engine(spec)
    try:
        with engine.connect().execution_options(stream_results=True, yield_per=1_000) as connection:
            statement, values = _sql_statement(spec, watermark, engine.dialect.identifier_preparer)
            result = connection.execute(statement, values)
            _require_column(spec, list(result.keys()))
            for line, row in enumerate(result.mappings(), start=1):
                yield _record(line, dict(row), spec)
    except SQLAlchemyError as error:
        first_line = str(getattr(error, "orig", error)).splitlines()[0]
        if type(error).__name__ == "OperationalError":
            raise ServiceUnavailableError(f"source {spec.name}: {first_line}") from error
        raise BadInputError(f"source {spec.name}: the query failed: {first_line}") from error
    finally:
        engine.dispose()


def _source_engine(spec: SourceSpec) -> Any:
    try:
        url = make_url(spec.uri)
        if url.get_backend_name() in {"postgres", "postgresql"}:
            url = url.set(drivername="postgresql+psycopg")
        return create_engine(url)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise BadInputError(f"source {spec.name}: the connection cannot be used") from error


def _sql_statement(spec: SourceSpec, watermark: Any, preparer: Any) -> tuple[Any, dict[str, Any]]:
    query = (spec.query or "").strip().rstrip(";")
    if spec.partition:
        field = preparer.quote(quoted_name(spec.time_field or "", quote=None))
        statement = (
            f"select * from ({query}) as source where source.{field} >= :start"  # noqa: S608
            f" and source.{field} < :end order by source.{field}"
        )
        return text(statement), asdict(spec.partition)
    if not spec.watermark_field:
        return text(query), {}
    field = preparer.quote(quoted_name(spec.watermark_field, quote=None))
    where = f"where source.{field} >= :watermark" if watermark is not None else ""
    # The query is the operator's own; only the watermark is a value, and it is bound.
    statement = f"select * from ({query}) as source {where} order by source.{field}"  # noqa: S608
    return text(statement), ({} if watermark is None else {"watermark": watermark})
