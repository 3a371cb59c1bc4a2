"""Errors of the driver itself: a COPY goes past SQLAlchemy, so that it does not translate them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from guidealign.errors import ServiceUnavailableError


@contextmanager
def guard_driver() -> Iterator[None]:
    """Turns a database that went away during a COPY into an error to try again after.

    Raises:
        ServiceUnavailableError: the server is away, full or shutting down.
    """
    try:
        yield
    except psycopg.OperationalError as error:
        raise ServiceUnavailableError(
            "the guidealign database went away: is it running? (`guidealign status`)"
        ) from error
