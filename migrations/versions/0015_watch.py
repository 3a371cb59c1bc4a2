"""Live answers after a promotion against those before it

Revision ID: 0015
Revises: 0013
"""

from __future__ import annotations

from guidealign.db.migrations import run_sql_file

revision = "0015"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("0015_up.sql")


def downgrade() -> None:
    run_sql_file("0015_down.sql")
