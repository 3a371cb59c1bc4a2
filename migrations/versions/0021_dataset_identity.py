"""Data sets of the same content are several where another judge chose them, or held them

Revision ID: 0021
Revises: 0020
"""

from __future__ import annotations

from guidealign.db.migrations import run_sql_file

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("revisions/0021_dataset_identity.sql")
