"""What the pages work with, made when it is first needed and kept."""

from __future__ import annotations

import time
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from guidealign.library import VersionRow, library_sources, library_versions
from guidealign_airflow.pages.timing import measured
from guidealign_airflow.runtime import Services, services

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from guidealign import Guide

_MOST_VERSIONS = 100
_CHOICES_KEPT_S = 5.0


@cache
def platform() -> Services:
    """Engine, settings and registry of this installation.

    Raises:
        ConfigurationError: it is not configured in the API server.
    """
    return services()


@cache
def guide() -> Guide:
    """The same retrieval as the gateway's; it follows what is promoted.

    Raises:
        ServiceUnavailableError: nothing is live, or it cannot be loaded.
    """
    from guidealign import Guide

    return Guide.from_registry(platform().settings)


def choices() -> tuple[list[str], list[VersionRow]]:
    """Sources and versions that a list can be limited to, no older than five seconds.

    They change when something is published or imported, and each page of each user shows them.
    """
    return _choices(time.monotonic() // _CHOICES_KEPT_S)


@lru_cache(maxsize=1)
def _choices(_moment: float) -> tuple[list[str], list[VersionRow]]:
    engine = platform().engine
    versions = library_versions(engine=engine, most=_MOST_VERSIONS)
    return library_sources(engine=engine), versions


def query_vector(query: str) -> tuple[int, NDArray[np.float32]]:
    """A query as the live retriever sees it, with that retriever's version.

    Raises:
        BadInputError: nothing is served yet.
    """
    from guidealign.db import current_release
    from guidealign.errors import BadInputError
    from guidealign.serving import make_loader

    with measured("db"):
        release = current_release(platform().engine)
    if release is None:
        raise BadInputError("nothing is served yet: search by words, or run guidealign_ingest")
    with measured("encode"):
        encoder = make_loader(platform().settings)(release.retriever_version)
        return release.retriever_version, encoder.encode([query], side="input")[0]
