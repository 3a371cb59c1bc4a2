"""Leased work: claimed by one worker, done once, taken back when a worker dies.

Rows are claimed with FOR UPDATE SKIP LOCKED, so workers never wait for each other, and a
lease that runs out makes the row claimable again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

_ENQUEUE = text(
    "insert into core.leases (task, item_id) select :task, unnest(cast(:ids as bigint[]))"
    " on conflict do nothing"
)
_CLAIM = text(
    """
    update core.leases l
       set holder = :holder, leased_until = now() + make_interval(secs => :lease_s),
           attempts = attempts + 1
      from (select item_id from core.leases
             where task = :task and done_at is null and failed_at is null
               and (leased_until is null or leased_until < now())
             order by item_id limit :limit for update skip locked) open
     where l.task = :task and l.item_id = open.item_id
    returning l.item_id, l.attempts
    """
)
_COMPLETE = text(
    "update core.leases set done_at = now(), holder = null, leased_until = null"
    " where task = :task and item_id = any(cast(:ids as bigint[]))"
    " and holder = :holder and done_at is null"
)
_RELEASE = text(
    "update core.leases set holder = null, leased_until = null, last_error = :error,"
    " failed_at = case when :final then now() end"
    " where task = :task and item_id = any(cast(:ids as bigint[]))"
    " and holder = :holder and done_at is null"
)
_RELEASE_HOLDER = text(
    "update core.leases set holder = null, leased_until = null"
    " where task = :task and holder like :prefix || '%' and done_at is null and failed_at is null"
)
_COUNT = text(
    "select count(*) from core.leases where task = :task and done_at is null and failed_at is null"
)


@dataclass(frozen=True)
class Claim:
    """An item that is ours until the lease runs out; `attempt` counts from 1."""

    item_id: int
    attempt: int


def enqueue(connection: Connection, task: str, item_ids: Iterable[int]) -> int:
    """Adds work that is not there yet; returns how many items were new."""
    ids = list(item_ids)
    return connection.execute(_ENQUEUE, {"task": task, "ids": ids}).rowcount if ids else 0


def claim(
    connection: Connection, *, task: str, holder: str, limit: int, lease_s: float
) -> list[Claim]:
    """Takes up to `limit` open items, lowest id first; commit at once to keep them."""
    values = {"task": task, "holder": holder, "limit": limit, "lease_s": lease_s}
    rows = connection.execute(_CLAIM, values).all()
    return sorted((Claim(row.item_id, row.attempts) for row in rows), key=lambda c: c.item_id)


def complete(connection: Connection, task: str, ids: Sequence[int], *, holder: str) -> int:
    """Marks items done; returns how many were still ours.

    Call it in the transaction that stores the results: when fewer rows come back than
    asked for, somebody else has taken the lease over and the transaction must roll back.
    """
    return connection.execute(
        _COMPLETE, {"task": task, "ids": list(ids), "holder": holder}
    ).rowcount


def release(
    connection: Connection,
    task: str,
    ids: Sequence[int],
    *,
    holder: str,
    error: str,
    final: bool = False,
) -> None:
    """Gives items back with the reason; `final` gives them up."""
    values = {"task": task, "ids": list(ids), "holder": holder, "error": error, "final": final}
    connection.execute(_RELEASE, values)


def release_holder(connection: Connection, task: str, holder_prefix: str) -> int:
    """Gives back all that a worker known to be dead still holds."""
    values = {"task": task, "prefix": holder_prefix}
    return connection.execute(_RELEASE_HOLDER, values).rowcount


def count_open(connection: Connection, task: str) -> int:
    """How many items are neither done nor given up."""
    return int(connection.execute(_COUNT, {"task": task}).scalar_one())
