"""One process at a time makes what a cache lacks."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from guidealign.errors import PlatformError


@contextmanager
def cache_lock(cache: Path, name: str) -> Iterator[None]:
    """Holds what is about to be made under a name; makes the folder, waits for other holders.

    Let go of when the holder dies. Look again whether it is there: another one may have made it.

    Raises:
        PlatformError: the cache cannot be written.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / f".{name}.lock").open("w")
    except OSError as error:
        raise PlatformError(
            f"{cache} cannot be written ({error.strerror}): free it or set"
            " GUIDEALIGN_PLATFORM__CACHE"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
