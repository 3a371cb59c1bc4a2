"""Guidance is served to a model for which it is proven, or vouched for

Revision ID: 0018
Revises: 0017
"""

from __future__ import annotations

from guidealign.db.migrations import run_sql_file

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("revisions/0018_guidance_proofs.sql")
