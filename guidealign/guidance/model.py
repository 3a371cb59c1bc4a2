"""What guidance speaks of: how an encoder is asked, and what was found for a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from guidealign.records import Release, RetrievedGuideline

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Side = Literal["input", "guideline"]


class Encoder(Protocol):
    """Turns texts into vectors whose inner product is their similarity."""

    def encode(self, texts: Sequence[str], *, side: Side) -> NDArray[np.float32]:
        """L2-normalised vectors, (len(texts), dimensions)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the retriever gave for a request."""

    guidelines: tuple[RetrievedGuideline, ...]
    """To be put in front, nearest first; none: it abstains, and `reason` says why."""
    nearest: tuple[RetrievedGuideline, ...]
    """The best ones also where it abstains."""
    release: Release
    stale: bool
    """The database could not be asked: the last good release answers."""
    reason: str | None = None
    canary_id: int | None = None
    """Of the candidate release that found them; None: what is live did."""
    encode_s: float = 0.0
    """Of the retrieval, spent in the encoder."""
