"""The guidealign database: engine, tables, leases, migrations."""

from guidealign.db.engine import guard_database, make_engine, normalize_url, session_lock
from guidealign.db.leases import (
    Claim,
    claim,
    complete,
    count_open,
    enqueue,
    release,
    release_holder,
)
from guidealign.db.migrations import alembic_config, migrate, schema_revision
from guidealign.db.releases import current_release, latest_release, release_by_id

__all__ = [
    "Claim",
    "alembic_config",
    "claim",
    "complete",
    "count_open",
    "current_release",
    "enqueue",
    "guard_database",
    "latest_release",
    "make_engine",
    "migrate",
    "normalize_url",
    "release",
    "release_by_id",
    "release_holder",
    "schema_revision",
    "session_lock",
]
