"""Unit tests start no server."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """None of these: what asks a database stands in `tests/integration`."""
    pytest.fail("a test of tests/unit asks for PostgreSQL; move it to tests/integration")
