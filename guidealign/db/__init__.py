"""The guidealign database: engine, tables, leases, migrations."""

from guidealign.db.engine import guard_database, make_engine, normalize_url, session_lock
from guidealign.db.leases import (
    Claim,
    GivenBack,
    claim,
    complete,
    count_open,
    enqueue,
    next_open_s,
    prefer,
    release,
    release_holders,
    renew,
    retry_failed,
)
from guidealign.db.migrations import migrate, schema_revision, views_are_current
from guidealign.db.releases import current_release, latest_release, release_by_id
from guidealign.db.waiting import Waiting, newest_waiting

__all__ = [
    "Claim",
    "GivenBack",
    "Waiting",
    "claim",
    "complete",
    "count_open",
    "current_release",
    "enqueue",
    "guard_database",
    "latest_release",
    "make_engine",
    "migrate",
    "newest_waiting",
    "next_open_s",
    "normalize_url",
    "prefer",
    "release",
    "release_by_id",
    "release_holders",
    "renew",
    "retry_failed",
    "schema_revision",
    "session_lock",
    "views_are_current",
]
