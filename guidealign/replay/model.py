"""What is replayed, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from guidealign.guidance import Query, query_of_turns
from guidealign.records import Release


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """A request of the past."""

    request_id: str
    key: str
    """The name of the key that asked."""
    turns: tuple[str, ...]
    """The user's; of the inbox the last two at most, with personal data masked, as logged."""
    release_id: int | None = None
    """That it was answered under; None: not known, or it was no plain retrieval."""
    guideline_ids: tuple[int, ...] = ()
    """That it got then."""

    @property
    def query(self) -> Query:
        """Of the last turn."""
        query = query_of_turns(self.turns)
        if query is None:
            raise ValueError("a recorded request has a turn at least")
        return query


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Requests of one source; at least one."""

    source: str
    """inbox, or a file."""
    rows: tuple[Recorded, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What a release has for a request."""

    guideline_ids: tuple[int, ...]
    """Nearest first; none: it abstains."""
    scores: tuple[float, ...]
    tokens: int
    """Of all words that would be put in front, by estimate."""
    nearest: float
    """Cosine of the best guideline, also where it abstains."""


@dataclass(frozen=True, kw_only=True)
class GuidelineWords:
    """A guideline as people know it."""

    title: str
    category: str


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two releases, with what it has for each request."""

    library_version: int
    retriever_version: int
    policy_version: int
    n_guidelines: int
    choices: tuple[Choice, ...]
    words: Mapping[int, GuidelineWords]

    @property
    def n_abstained(self) -> int:
        """Requests that it has no guideline for."""
        return sum(not choice.guideline_ids for choice in self.choices)

    @property
    def tokens(self) -> int:
        """Of the guidelines of all requests."""
        return sum(choice.tokens for choice in self.choices)


@dataclass(frozen=True, kw_only=True)
class Example:
    """A request whose guidelines change, with its words masked."""

    request_id: str
    key: str
    text: str
    context: str | None
    live: tuple[dict[str, Any], ...]
    candidate: tuple[dict[str, Any], ...]
    """Guidelines, nearest first: id, title, category, score, and whether the other side has it."""
    tokens: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What a candidate would change."""

    source: str
    live: Release
    candidate: Release
    """The live release's number with the candidate's parts."""
    figures: dict[str, Any]
    """For people and programs; see docs/gateway-operations.md."""
    examples: tuple[Example, ...]
    """The most changed first."""
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """For a file: figures and examples."""
        return {
            "source": self.source,
            "live": asdict(self.live),
            "candidate": {
                "library_version": self.candidate.library_version,
                "retriever_version": self.candidate.retriever_version,
                "policy_version": self.candidate.policy_version,
                "policy": self.candidate.policy.digest,
            },
            "seconds": round(self.seconds, 1),
            **self.figures,
            "examples": [asdict(example) for example in self.examples],
        }
