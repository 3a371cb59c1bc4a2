"""Frozen types that cross rooms: no behaviour beyond their own validation."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

RETRIEVER_MODEL = "guidealign-retriever"
LABRADOR_MODEL = "guidealign-labrador"
UNTRAINED_VERSION = 0
"""The version number of a model before any training: the base itself."""

CaseKind = Literal["harm", "over_refusal", "quality", "retrieval"]
Verdict = Literal["promote", "hold", "inconclusive", "reject"]

RISK_CATEGORIES: tuple[str, ...] = (
    "Crimes_And_Illegal_Activities",
    "Unfairness_And_Discrimination",
    "Insult",
    "Mental_Health",
    "Ethics_And_Morality",
    "Physical_Harm",
    "Privacy_And_Property",
    "Sensitive_Topic",
    "Inquiry_With_Unsafe_Opinion",
    "Goal_Hijacking",
    "Unsafe_Instruction_Topic",
    "Reverse_Exposure",
    "Role_Play_Instruction",
    "Prompt_Leaking",
)
"""The 14 risk categories of Guide-Align (arXiv 2403.11838): 8 scenarios, then 6 attacks."""

QUALITY_TOPICS: tuple[str, ...] = (
    "Quality_Explaining",
    "Quality_Coding",
    "Quality_Writing",
    "Quality_Maths",
    "Quality_Advice",
)
"""Everyday topics of guidelines that are about quality rather than risk."""

CATEGORIES: tuple[str, ...] = RISK_CATEGORIES + QUALITY_TOPICS


@dataclass(frozen=True, kw_only=True)
class CaseScore:
    """One model's score on one case of a benchmark; higher is better.

    Raises:
        ValueError: the value is NaN or infinite; such a case is *unscored*, never a number.
    """

    case_id: str
    category: str
    kind: CaseKind
    value: float
    cluster: str
    """Cases of one cluster are not independent (paraphrases of one input)."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(f"case {self.case_id}: score {self.value} is not finite")


@dataclass(frozen=True, kw_only=True)
class Unscored:
    """A case that gave no score: counted, never averaged away."""

    case_id: str
    category: str
    kind: CaseKind
    reason: str


@dataclass(frozen=True, kw_only=True)
class EvaluationRun:
    """All scores of one model version on one benchmark."""

    model_name: str
    version: int
    benchmark: str
    metric: str
    evaluator: str
    """Fingerprint of judge, prompts and cases; runs of different evaluators never compare."""
    scores: tuple[CaseScore, ...]
    unscored: tuple[Unscored, ...] = ()
    judge: str | None = None
    """Model that judged, as name/version; None: no model judged (likelihood, exact match)."""
    summary: dict[str, float] = field(default_factory=dict)
    """Further aggregate figures for people (recall@6, MRR ...)."""

    @property
    def cases(self) -> tuple[CaseScore | Unscored, ...]:
        """All cases, with a score or without."""
        return (*self.scores, *self.unscored)

    @property
    def n_planned(self) -> int:
        """Number of cases that should have been scored."""
        return len(self.scores) + len(self.unscored)


@dataclass(frozen=True, kw_only=True)
class RetrievedGuideline:
    """A guideline found for an input; `score` is cosine similarity in [-1, 1]."""

    guideline_id: int
    title: str
    text: str
    category: str
    rank: int
    score: float


@dataclass(frozen=True, kw_only=True)
class Release:
    """What is served: one id that binds the versions that belong together."""

    release_id: int
    library_version: int
    retriever_version: int
    labrador_version: int
    prompt_version: str
