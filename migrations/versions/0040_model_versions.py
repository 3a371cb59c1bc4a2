"""Digests of model versions are kept beside the registry, not in it

Revision ID: 0040
Revises: 0022
"""

from __future__ import annotations

from guidealign.db.migrations import run_sql_file

revision = "0040"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("revisions/0040_model_versions.sql")
