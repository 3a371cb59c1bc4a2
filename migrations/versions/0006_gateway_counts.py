"""What the gateway retrieves counts too

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

from guidealign.db.migrations import run_sql_file

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("0006_up.sql")


def downgrade() -> None:
    run_sql_file("0006_down.sql")
