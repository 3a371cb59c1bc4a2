"""Rows of benchmark files, each of which knows where it stands."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guidealign.errors import BadInputError


@dataclass(frozen=True)
class SourceRow:
    """One case as a file has it."""

    file: Path
    place: str
    """Such as `line 3`."""
    number: int
    """Counts from 1 within the file."""
    values: Mapping[str, Any]

    def error(self, field: str, what: str) -> BadInputError:
        """What is wrong with a field of this row."""
        return BadInputError(f"{self.file}, {self.place}: field {field!r} {what}")

    def text(self, *names: str) -> str:
        """The text of the first of these fields that there is.

        Raises:
            BadInputError: there is none, or it is no text, or nothing stands in it.
        """
        name = next((n for n in names if self.values.get(n) is not None), None)
        if name is None:
            raise self.error(names[0], "is missing")
        value = self.values[name]
        if not isinstance(value, str | int):
            raise self.error(name, "is no text")
        if not str(value).strip():
            raise self.error(name, "is empty")
        return str(value).strip()

    def optional(self, *names: str) -> str | None:
        """Like `text`; None where there is nothing."""
        found = [self.values[n] for n in names if self.values.get(n) not in {None, ""}]
        return self.text(*names) if found else None


def digest_of(files: list[Path], root: Path) -> str:
    """SHA-256 of a file; of several: of the list of their names and digests."""
    digests = {}
    for file in files:
        with file.open("rb") as stream:
            digests[_name(file, root)] = hashlib.file_digest(stream, "sha256").hexdigest()
    if len(digests) == 1:
        return next(iter(digests.values()))
    listed = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(listed.encode()).hexdigest()


def _name(file: Path, root: Path) -> str:
    return file.name if file == root else str(file.relative_to(root))


def read_rows(file: Path) -> Iterator[SourceRow]:
    """The rows of a JSONL, JSON, CSV or Parquet file; `.gz` behind the ending is unpacked.

    Raises:
        BadInputError: it cannot be read, or is not what its ending says.
    """
    suffix = file.with_suffix("").suffix if file.suffix == ".gz" else file.suffix
    readers = {".jsonl": _jsonl, ".json": _json, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(suffix)
    if reader is None:
        raise BadInputError(f"{file}: a benchmark file ends in {', '.join(readers)}")
    try:
        content = file.read_bytes()
        yield from reader(file, gzip.decompress(content) if file.suffix == ".gz" else content)
    except (OSError, EOFError) as error:
        raise BadInputError(f"{file} cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise BadInputError(f"{file} is not UTF-8 from byte {error.start} on") from error


def _jsonl(file: Path, content: bytes) -> Iterator[SourceRow]:
    for number, line in enumerate(content.decode("utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError as error:
            raise BadInputError(f"{file}, line {number} is not JSON: {error}") from error
        yield _row(file, f"line {number}", number, values)


def _json(file: Path, content: bytes) -> Iterator[SourceRow]:
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except ValueError as error:
        raise BadInputError(f"{file} is not JSON: {error}") from error
    # BIG-bench keeps a task's cases under this name.
    listed = document.get("examples") if isinstance(document, dict) else document
    if not isinstance(listed, list):
        raise BadInputError(f"{file}: neither a list of cases nor an object with `examples`")
    for number, values in enumerate(listed, start=1):
        yield _row(file, f"case {number}", number, values)


def _csv(file: Path, content: bytes) -> Iterator[SourceRow]:
    reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    try:
        for number, values in enumerate(reader, start=1):
            if None in values:
                raise BadInputError(f"{file}, line {reader.line_num}: more fields than the header")
            yield SourceRow(file, f"line {reader.line_num}", number, values)
    except csv.Error as error:
        raise BadInputError(f"{file}, line {reader.line_num} is not CSV: {error}") from error


def _parquet(file: Path, content: bytes) -> Iterator[SourceRow]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(pa.BufferReader(content))
    except pa.ArrowException as error:
        raise BadInputError(f"{file} is not Parquet: {error}") from error
    for number, values in enumerate(table.to_pylist(), start=1):
        yield SourceRow(file, f"row {number}", number, values)


def _row(file: Path, place: str, number: int, values: object) -> SourceRow:
    if not isinstance(values, dict):
        raise BadInputError(f"{file}, {place}: a case is an object with named fields")
    return SourceRow(file, place, number, values)
