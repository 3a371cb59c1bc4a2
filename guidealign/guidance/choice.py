"""Which guidelines an input gets: one rule for every caller.

1. The nearest guidelines are the candidates.
2. Topics are decided apart. Unsafe-topic guidelines are given where the input is risky (by the risk
   probe or by the nearest of them, whichever the policy names); guidelines about quality where the
   nearest of them is near enough.
3. Of what may be given, the nearest k are kept of which no two say nearly the same and no two are
   in open conflict. A risky input keeps one unsafe-topic guideline at least.
4. Those of them are given that fit into the policy's budget of tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from rapidfuzz import fuzz

from guidealign.guidance.words import within_budget
from guidealign.ingest import fold_text
from guidealign.records import (
    QUALITY_TOPICS,
    RISK_CATEGORIES,
    GuidancePolicy,
    RetrievedGuideline,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Reason = Literal["below-threshold", "none-in-risks", "budget", "no-user-text"]
"""Why an input gets no guideline."""
Search = Callable[[int, Sequence[str] | None], list[RetrievedGuideline]]
"""Gives the k guidelines nearest to an input, among categories (None: all), nearest first."""
Rivals = Mapping[int, frozenset[int]]
"""By guideline: those in open conflict with it, which are never given beside it."""


@dataclass(frozen=True)
class RiskProbe:
    """A logistic regression on an input's vector: how probable it is that the input is unsafe."""

    weights: tuple[float, ...]
    bias: float

    def risk(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities, (n,), of vectors (n, dimensions)."""
        import numpy as np

        logits = vectors @ self._vector + np.float32(self.bias)
        risks: NDArray[np.float32] = (0.5 * (1 + np.tanh(0.5 * logits))).astype(np.float32)
        return risks

    @cached_property
    def _vector(self) -> NDArray[np.float32]:
        """The weights as requests need them, made once."""
        import numpy as np

        return np.asarray(self.weights, dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class TopicThresholds:
    """What a retriever version was calibrated to; None: it was not."""

    rule: Literal["risk", "cosine"] = "cosine"
    """The measure that told unsafe inputs from benign ones better."""
    risk: float | None = None
    """Least risk of an input that gets unsafe-topic guidelines."""
    cosine: float | None = None
    """Least cosine of its nearest unsafe-topic guideline."""
    quality: float | None = None
    """Least cosine of the nearest guideline about quality."""
    probe: RiskProbe | None = None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What an input gets."""

    guidelines: tuple[RetrievedGuideline, ...]
    """At most k; a risky input's unsafe-topic guideline stands first where others are nearer,
    else they stand nearest first."""
    nearest: tuple[RetrievedGuideline, ...]
    """The nearest distinct ones of any topic, also where none is given."""
    candidates: tuple[RetrievedGuideline, ...]
    reason: Reason | None = None
    """Why none is given; None: some are."""


def choose(
    search: Search,
    policy: GuidancePolicy,
    thresholds: TopicThresholds,
    *,
    risk: float | None,
    categories: Sequence[str] | None = None,
    rivals: Rivals | None = None,
) -> Choice:
    """The guidelines that an input gets.

    Args:
        search: finds what is near to the input.
        policy: how many, how distinct, and which rule.
        thresholds: of the retriever version that `search` compares with.
        risk: of the input, by the version's probe; None: it has none.
        categories: to look among; None: all.
        rivals: guidelines in open conflict.
    """
    rivals = rivals or {}
    candidates = search(policy.n_candidates, categories)
    nearest = keep_distinct(candidates, policy, rivals)

    def of_topic(topic: Sequence[str]) -> list[RetrievedGuideline]:
        """Candidates of a topic; where none is among the nearest, the nearest of that topic."""
        found = [g for g in candidates if g.category in topic]
        wanted = [c for c in topic if categories is None or c in categories]
        if found or not wanted:
            return found
        further = search(policy.k, wanted)
        found = [replace(g, rank=len(candidates) + i) for i, g in enumerate(further, start=1)]
        candidates.extend(found)
        return found

    allowed: list[RetrievedGuideline] = []
    unsafe = of_topic(RISK_CATEGORIES)
    risky = is_risky(risk, unsafe[0].score if unsafe else -1.0, policy, thresholds)
    if risky is not False:
        allowed += unsafe
    quality = [g for g in candidates if g.category in QUALITY_TOPICS]
    if risky is False and not quality:
        quality = of_topic(QUALITY_TOPICS)
    if quality and _reaches(quality[0].score, _or(policy.quality_threshold, thresholds.quality)):
        allowed += quality
    allowed.sort(key=lambda g: (-g.score, g.guideline_id))
    kept = keep_distinct(allowed, policy, rivals)
    if risky and unsafe and not any(g.category in RISK_CATEGORIES for g in kept):
        kept = keep_distinct([unsafe[0], *allowed], policy, rivals)
    given = within_budget(kept, policy)
    reason: Reason | None = None
    if not given:
        reason = "budget" if kept else "below-threshold" if nearest else "none-in-risks"
    return Choice(
        guidelines=tuple(given),
        nearest=tuple(nearest),
        candidates=tuple(candidates),
        reason=reason,
    )


def is_risky(
    risk: float | None, cosine: float, policy: GuidancePolicy, thresholds: TopicThresholds
) -> bool | None:
    """Whether an input is to be given unsafe-topic guidelines; None: nothing tells.

    Args:
        risk: of the input, by the probe; None: there is none.
        cosine: of its nearest unsafe-topic guideline.
        policy: names the rule, and may set a threshold of its own.
        thresholds: of the retriever version.
    """
    rule = _rule(policy, thresholds)
    if rule == "always":
        return None
    value, calibrated = cosine, thresholds.cosine
    if rule == "risk" and risk is not None:
        value, calibrated = risk, thresholds.risk
    threshold = _or(policy.unsafe_threshold, calibrated)
    return None if threshold is None else value >= threshold


def _reaches(value: float, threshold: float | None) -> bool:
    return threshold is None or value >= threshold


def _rule(policy: GuidancePolicy, thresholds: TopicThresholds) -> str:
    rule = thresholds.rule if policy.topic_rule == "calibrated" else policy.topic_rule
    # A version without a probe is decided by what it has.
    return "cosine" if rule == "risk" and thresholds.probe is None else rule


def _or(own: float | None, calibrated: float | None) -> float | None:
    return calibrated if own is None else own


def keep_distinct(
    candidates: Sequence[RetrievedGuideline], policy: GuidancePolicy, rivals: Rivals | None = None
) -> list[RetrievedGuideline]:
    """The first k candidates of which none is a near-duplicate or a rival of an earlier kept one.

    Near-duplicates by edit similarity of the texts (arXiv 2403.11838, stage 2).
    """
    kept: list[RetrievedGuideline] = []
    texts: list[str] = []
    barred: set[int] = set()
    cutoff = 100 * policy.near_duplicate_threshold
    for candidate in candidates:
        if len(kept) == policy.k:
            break
        if candidate.guideline_id in barred:
            continue
        text = fold_text(candidate.text)
        if all(fuzz.ratio(text, other, score_cutoff=cutoff) < cutoff for other in texts):
            kept.append(candidate)
            texts.append(text)
            barred |= (rivals or {}).get(candidate.guideline_id, frozenset())
    return kept
