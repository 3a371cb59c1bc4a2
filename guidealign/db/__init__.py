"""The guidealign database: engine, tables, leases, migrations."""

from guidealign.db.engine import guard_database, make_engine, normalize_url
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

__all__ = [
    "Claim",
    "alembic_config",
    "claim",
    "complete",
    "count_open",
    "enqueue",
    "guard_database",
    "make_engine",
    "migrate",
    "normalize_url",
    "release",
    "release_holder",
    "schema_revision",
]
