"""Digests of model versions are kept beside the registry, not in it

Revision ID: 0024
Revises: 0023
"""

from __future__ import annotations

from guidealign.db.migrations import run_sql_file

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("revisions/0024_model_versions.sql")
