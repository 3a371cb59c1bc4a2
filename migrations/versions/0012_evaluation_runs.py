"""Answers to benchmarks are kept, so that a run goes on where it stopped

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_SQL = Path(__file__).resolve().parents[1] / "sql"


def _run(file: str) -> None:
    # As it stands: the file's colons and percent signs are SQL, not parameters.
    op.get_bind().exec_driver_sql(
        (_SQL / file).read_text(encoding="utf-8"), execution_options={"no_parameters": True}
    )


def upgrade() -> None:
    _run("0012_up.sql")


def downgrade() -> None:
    _run("0012_down.sql")
