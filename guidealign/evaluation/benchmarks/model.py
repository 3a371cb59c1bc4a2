"""A benchmark's cases, and where they are from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace

from guidealign.evaluation._even_choice import even_choice
from guidealign.evaluation.benchmarks.starter_cases import PreferenceCase
from guidealign.records import CaseKind

KINDS: tuple[CaseKind, ...] = ("harm", "over_refusal", "quality")


@dataclass(frozen=True, kw_only=True)
class BenchmarkCase:
    """What a model is asked, and two answers to it where the benchmark has them."""

    case_id: str
    category: str
    kind: CaseKind
    turns: tuple[str, ...]
    """What the user says; more than one: each is said after the answer to the one before."""
    better: str | None = None
    worse: str | None = None
    harm_type: str = ""
    """Finer than the category, where the benchmark has it."""
    cluster: str = ""
    """Cases of one cluster are not independent, such as one prompt asked twice."""

    @property
    def prompt(self) -> str:
        """All turns as one text."""
        return "\n\n".join(self.turns)

    def preference(self) -> PreferenceCase | None:
        """As a choice between two answers; None: it has no two, or more than one turn."""
        if self.better is None or self.worse is None or len(self.turns) != 1:
            return None
        if self.kind == "retrieval":
            return None
        return PreferenceCase(
            case_id=self.case_id,
            category=self.category,
            kind=self.kind,
            prompt=self.turns[0],
            better=self.better,
            worse=self.worse,
        )


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Cases as they were read, with the copy that they were read from."""

    name: str
    cases: tuple[BenchmarkCase, ...]
    source: str
    """A file, a folder, or `hub id@commit`."""
    sha256: str
    """Of the file; of several: of their names and digests."""
    known_as: str | None
    """The published copy that this is; None: none that guidealign knows."""

    @property
    def digest(self) -> str:
        """SHA-256 over the content of the cases."""
        content = json.dumps([asdict(case) for case in self.cases], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def at_most(self, n: int | None) -> Benchmark:
        """An even choice over kinds and categories, always the same; None: all cases."""
        if n is None:
            return self
        chosen = even_choice(self.cases, n, by=lambda case: (case.kind, case.category))
        return replace(self, cases=tuple(chosen))
