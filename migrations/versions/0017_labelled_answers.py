"""Labelled answers, and the verdicts about the judges that are trained on them

Revision ID: 0017
Revises: 0016
"""

from __future__ import annotations

from guidealign.db.migrations import run_sql_file

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("revisions/0017_labelled_answers.sql")
