"""What the aligned data set chose among candidates and why, and what it is worth beside the base

Revision ID: 0020
Revises: 0018
"""

from __future__ import annotations

from alembic import op

from guidealign.db.migrations import run_sql_file
from guidealign.db.repeatables import drop_repeatables

revision = "0020"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    drop_repeatables(op.get_bind())
    run_sql_file("revisions/0020_aligned_choices.sql")
