"""Rows of the library, and what publishing did."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class GuidelineRow:
    """An active guideline."""

    id: int
    title: str
    text: str
    category: str


@dataclass(frozen=True)
class PairRow:
    """An input and an active guideline that was written for it."""

    input_id: int
    input_text: str
    guideline_id: int
    category: str
    unsafe: bool
    source: str
    cluster: int
    """Inputs of one cluster are near copies of each other."""


@dataclass(frozen=True, kw_only=True)
class PublishResult:
    """What a publication did; without a change there is no new version."""

    version: int
    changed: bool
    n_active: int
    n_added: int = 0
    n_retired: int = 0
    n_merged: int = 0
    n_held: int = 0
    """Candidates that wait for a person: by review policy or for a contradiction."""
    digest: str
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler's metadata."""
        return asdict(self)


def library_digest(text_hashes: Iterable[str]) -> str:
    """SHA-256 (hex) over the sorted hashes of the active guidelines' texts."""
    return hashlib.sha256("\n".join(sorted(text_hashes)).encode()).hexdigest()
