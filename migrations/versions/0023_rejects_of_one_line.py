"""Several turns of one line may be rejected

Revision ID: 0023
Revises: 0022
"""

from __future__ import annotations

from guidealign.db.migrations import run_sql_file

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("revisions/0023_rejects_of_one_line.sql")
