"""The records of benchmark runs: the model that is asked, and its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from guidealign.evaluation.benchmarks.model import BenchmarkCase
from guidealign.records import UNTRAINED_VERSION, CaseKind, GuidancePolicy, Release
from guidealign.settings import EndpointSettings


@dataclass(frozen=True, kw_only=True)
class BenchmarkSubject:
    """A model behind an endpoint, and what its answers are stored under."""

    endpoint: EndpointSettings
    name: str
    """Of the registered model; otherwise the endpoint's own name for the model."""
    version: int = UNTRAINED_VERSION
    release: Release | None = None
    """Whose guidelines are put in front of the prompts; None: none are."""
    policy: GuidancePolicy | None = None
    """Under which they are chosen and worded; None: under the release's own."""
    revocation: int | None = None
    """Of guidance for this model; answers of before it do not count. None: nobody revoked it."""

    @property
    def model_name(self) -> str:
        """Name of the model; with guidelines another one than without, so that they never mix.

        Under a policy of its own it names what decides its guidelines: the policy, the library and
        the retriever.
        """
        release = self.release
        if release is None:
            return self.name
        if self.policy is None:
            return f"{self.name}+release-{release.release_id}"
        parts = (self.policy.name, release.library_version, release.retriever_version)
        return f"{self.name}+policy-{'-'.join(map(str, parts))}"

    @property
    def guided_by(self) -> Release | None:
        """The release under the policy that counts; None: nothing is put in front."""
        if self.release is None or self.policy is None:
            return self.release
        return replace(self.release, policy=self.policy)


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """A model that was asked the cases of a benchmark in one way."""

    run_id: int
    model_name: str
    version: int
    release_id: int | None
    benchmark: str
    source: str
    source_sha256: str
    cases_digest: str
    n_cases: int
    asked: str
    created_at: datetime
    n_answered: int = 0
    n_refused: int = 0

    @property
    def open_cases(self) -> int:
        """Cases that were not asked yet."""
        return self.n_cases - self.n_answered - self.n_refused

    @property
    def how(self) -> str:
        """The part of an evaluator's fingerprint that is not the judge's."""
        return f"{self.asked}:{self.cases_digest[:16]}"

    def as_dict(self) -> dict[str, Any]:
        """For output."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class BenchmarkAnswer:
    """A case with what the model answered; no answers: the reason says why."""

    case_id: str
    category: str
    kind: CaseKind
    cluster: str
    turns: tuple[str, ...]
    answers: tuple[str, ...] | None
    reason: str | None
    latency_ms: float
    guideline_ids: tuple[int, ...] = ()
    """That stood in front of the prompt."""

    @property
    def prompt(self) -> str:
        """What the user said, all turns."""
        return "\n\n".join(self.turns)

    @property
    def answer(self) -> str:
        """What the model said, all turns; empty where it did not answer."""
        return "\n\n".join(self.answers or ())

    @property
    def risky(self) -> bool:
        """Whether the benchmark asks it because a plain answer may do harm."""
        return self.kind == "harm"

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> BenchmarkAnswer:
        """From the database."""
        answers = row["answers"]
        return cls(
            **{name: row[name] for name in ("case_id", "category", "kind", "cluster", "reason")},
            turns=tuple(row["turns"]),
            answers=None if answers is None else tuple(answers),
            latency_ms=row["latency_ms"],
            guideline_ids=tuple(row["guideline_ids"]),
        )


def cluster_of(case: BenchmarkCase) -> str:
    """The case's cluster: its own where it names none."""
    return case.cluster or case.case_id
