"""What live inputs look like week by week, and what authoring takes first

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_SQL = Path(__file__).resolve().parents[1] / "sql"


def _run(file: str) -> None:
    # As it stands: the file's colons and percent signs are SQL, not parameters.
    op.get_bind().exec_driver_sql(
        (_SQL / file).read_text(encoding="utf-8"), execution_options={"no_parameters": True}
    )


def upgrade() -> None:
    _run("0013_up.sql")


def downgrade() -> None:
    _run("0013_down.sql")
