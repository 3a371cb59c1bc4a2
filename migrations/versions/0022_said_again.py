"""Labels may be turned back, and a version of the judges may be decided about again

Revision ID: 0022
Revises: 0021
"""

from __future__ import annotations

from guidealign.db.migrations import run_sql_file

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("revisions/0022_said_again.sql")
