"""From what a form, an operator or an option names to a source of inputs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guidealign.cycle.model import Context
    from guidealign.ingest import Partition, SourceSpec


def source_of(context: Context) -> SourceSpec:
    """The source that a run's params name: `path`, `query` with `conn_id`, or `inbox`.

    With `start` and `end`, ISO 8601, it is that piece of the source's time. Without any of them it
    is the file of inputs that ships with guidealign.

    Raises:
        BadInputError: the query's connection is not known here, or the piece of time is none.
    """
    from guidealign import ingest

    given = context.params
    spec = _whole_source(context, given)
    if given.get("start") is None:
        return spec
    return ingest.partition_of(spec, partition_between(given["start"], given.get("end") or ""))


def _whole_source(context: Context, given: Mapping[str, Any]) -> SourceSpec:
    from guidealign import ingest

    fields: dict[str, Any] = {
        "text_field": given.get("text_field") or "text",
        "id_field": given.get("id_field") or None,
        "time_field": given.get("time_field") or None,
    }
    if given.get("query"):
        return ingest.SourceSpec(
            kind="sql",
            uri=context.connection_url(given["conn_id"]),
            name=f"sql:{given['conn_id']}",
            query=given["query"],
            watermark_field=given.get("watermark_field") or None,
            **fields,
        )
    if given.get("path"):
        return ingest.file_source(given["path"], kind=given.get("format") or None, **fields)
    if given.get("inbox"):
        return ingest.inbox_source()
    return ingest.file_source(ingest.bundled_inbox(), name="bundled-inbox")


def partition_between(start: str, end: str) -> Partition:
    """A piece of time; without an offset in UTC.

    Raises:
        BadInputError: one of them is no time.
    """
    from guidealign.errors import BadInputError
    from guidealign.ingest import Partition

    try:
        bounds = [datetime.fromisoformat(value) for value in (start, end)]
    except ValueError as error:
        raise BadInputError(
            f"{start!r} to {end!r} is no piece of time: start the run by its partition, or name"
            " both like 2026-10-01T00:00:00"
        ) from error
    return Partition(*(at if at.tzinfo else at.replace(tzinfo=UTC) for at in bounds))
