"""The tables of guidealign 0.1.0, with their rights

Revision ID: 0015
Revises: nothing; earlier revisions were drawn together in this one
"""

from __future__ import annotations

from guidealign.db.migrations import run_baseline

revision = "0015"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_baseline()
