"""What a cycle made, as three digests: cycles on the same inputs and answers give the same ones."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True, kw_only=True)
class Digests:
    """SHA-256 (hex) of what was made last; None: there is none yet.

    Each is over contents alone, so that other ids, times and versions change none of them.
    """

    library: str | None
    """Of the guidelines that the newest version serves."""
    pairs: str | None
    """Of its inputs with the guidelines that were written for them."""
    dataset: str | None
    """Of the newest aligned data set."""

    def as_dict(self) -> dict[str, str | None]:
        """For programs."""
        return asdict(self)


def digests(*, engine: Engine) -> Digests:
    """The digests of what is newest in an installation.

    Raises:
        ServiceUnavailableError: the database does not answer.
    """
    from guidealign.cycle import store
    from guidealign.library import latest_version, library_versions

    version, dataset = latest_version(engine), store.dataset_digest(engine)
    if version == 0:
        return Digests(library=None, pairs=None, dataset=dataset)
    (newest,) = library_versions(engine=engine, most=1)
    return Digests(library=newest.digest, pairs=_pairs(version, engine), dataset=dataset)


def _pairs(version: int, engine: Engine) -> str:
    from guidealign.db import guard_database
    from guidealign.library import guidelines_at, pairs_at

    with guard_database():
        words = {row.id: (row.title, row.text) for row in guidelines_at(engine, version)}
        pairs = pairs_at(engine, version)
    rows = sorted((pair.input_text, *words[pair.guideline_id], pair.unsafe) for pair in pairs)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
