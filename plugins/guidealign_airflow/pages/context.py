"""What the pages work with, made when it is first needed and kept."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from guidealign_airflow.runtime import Services, services

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from guidealign import Guide


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


def query_vector(query: str) -> tuple[int, NDArray[np.float32]]:
    """A query as the live retriever sees it, with that retriever's version.

    Raises:
        BadInputError: nothing is served yet.
    """
    from guidealign.db import current_release
    from guidealign.errors import BadInputError
    from guidealign.serving import make_loader

    release = current_release(platform().engine)
    if release is None:
        raise BadInputError("nothing is served yet: search by words, or run guidealign_ingest")
    encoder = make_loader(platform().settings)(release.retriever_version)
    return release.retriever_version, encoder.encode([query], side="input")[0]
