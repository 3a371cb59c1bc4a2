"""From what a form or an operator names to a source, and its reading."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from guidealign_airflow.runtime import Services, actor, connection_url

if TYPE_CHECKING:
    from guidealign.ingest import Partition, SourceSpec


def read_source(
    given: Mapping[str, Any], ready: Services, *, between: tuple[str, str] | None = None
) -> dict[str, Any]:
    """Reads what is new in a source, or a piece of its time whole.

    Args:
        given: `path`, `query` with `conn_id`, or `inbox`; none: the inputs that ship with it.
        ready: of this task.
        between: start and end of the piece, ISO 8601.

    Raises:
        BadInputError: the source as a whole is wrong.
        ServiceUnavailableError: a database is away, or another run reads this source.
    """
    from guidealign import ingest

    spec = source_of(given)
    if between:
        spec = ingest.partition_of(spec, partition_between(*between))
    result = ingest.ingest_source(spec, run_key=actor(), **ready.data()).as_dict()
    if spec.kind == "inbox":
        ingest.prune_inbox(**ready.data())
    if spec.kind in {"sql", "inbox"}:
        # A query's address has the password in it.
        return {**result, "source_kind": spec.kind, "source": spec.name}
    return {**result, "source_kind": "file", "source": spec.uri}


def source_of(given: Mapping[str, Any]) -> SourceSpec:
    """The source that parameters name."""
    from guidealign import ingest

    fields: dict[str, Any] = {
        "text_field": given.get("text_field") or "text",
        "id_field": given.get("id_field") or None,
        "time_field": given.get("time_field") or None,
    }
    if given.get("query"):
        return ingest.SourceSpec(
            kind="sql",
            uri=connection_url(given["conn_id"]),
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
