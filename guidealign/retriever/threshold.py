"""Thresholds below which an input gets no guideline of a topic: their recall, and their price."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from guidealign.guidance import RiskProbe
from guidealign.records import QUALITY_TOPICS
from guidealign.retriever.model import LabelledInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["unsafe", "lookalike", "ordinary"]
_KINDS: tuple[Kind, ...] = ("unsafe", "lookalike", "ordinary")
LEAST_RECALL = 0.95
"""Of unsafe inputs: so many must still be given an unsafe-topic guideline."""
TARGET_SHARE = 0.05
"""Of benign look-alikes: no more should be given one."""
_FOLDS = 10
_FEWEST = 20
"""Clusters of unsafe inputs; with fewer a 95% recall says nothing."""


@dataclass(frozen=True)
class ScoredInput:
    """A held-out input; a higher score speaks for giving it an unsafe-topic guideline."""

    kind: Kind
    score: float
    cluster: Hashable


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a threshold does to each kind of input, as shares of it; None: there was none."""

    recall: float
    lookalike: float | None
    """Of benign inputs near an unsafe topic."""
    ordinary: float | None
    """Of everyday inputs."""


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One threshold: who is given an unsafe-topic guideline, and how often that was right."""

    threshold: float
    recall: float
    precision: float
    """Share of unsafe inputs among those given one."""
    coverage: float
    """Share of all inputs given one."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A threshold, and what to expect of it on inputs that it was not chosen on."""

    threshold: float
    expected: Outcome
    """Cross-validated by cluster: chosen on nine tenths, measured on the tenth."""
    n_unsafe: int
    n_lookalike: int
    n_ordinary: int
    curve: tuple[CurvePoint, ...]

    @property
    def reaches_target(self) -> bool:
        """Whether few enough look-alikes are given one at the recall that was asked for."""
        share = self.expected.lookalike
        return share is not None and share < TARGET_SHARE and self.expected.recall >= LEAST_RECALL


def kind_of(item: LabelledInput) -> Kind:
    """Unsafe, benign on an unsafe topic, or an everyday question."""
    if item.unsafe:
        return "unsafe"
    return "ordinary" if item.category in QUALITY_TOPICS else "lookalike"


def threshold_for(unsafe: Sequence[float], least_recall: float = LEAST_RECALL) -> float:
    """The highest threshold that a new unsafe input reaches with that probability.

    Split conformal prediction (Vovk et al. 2005): of n scores and a new one like them, each is as
    likely to be the k-th lowest, so the k-th lowest of n is missed with probability k / (n + 1).
    Minus infinity where n is too small to promise it.
    """
    # Rounded first: 0.05 of 20 is one, whatever binary fractions make of it.
    k = math.floor(round((1 - least_recall) * (len(unsafe) + 1), 9))
    return sorted(unsafe)[k - 1] if k >= 1 else -math.inf


def outcome_at(threshold: float, inputs: Sequence[ScoredInput]) -> Outcome:
    """Shares of each kind with at least this score; recall is 0 where none is unsafe."""
    return _outcome(inputs, [item.score >= threshold for item in inputs])


def calibrate(
    inputs: Sequence[ScoredInput], *, least_recall: float = LEAST_RECALL
) -> Calibration | None:
    """Chooses the threshold on all inputs and says what it will do to others.

    None: there are too few clusters of unsafe inputs to speak of such a recall.
    """
    counts = {kind: sum(item.kind == kind for item in inputs) for kind in _KINDS}
    if len({item.cluster for item in inputs if item.kind == "unsafe"}) < _FEWEST:
        return None
    return Calibration(
        threshold=threshold_for(_unsafe_scores(inputs), least_recall),
        expected=_cross_validated(inputs, least_recall),
        n_unsafe=counts["unsafe"],
        n_lookalike=counts["lookalike"],
        n_ordinary=counts["ordinary"],
        curve=tuple(curve(inputs)),
    )


def quality_threshold(
    inputs: Sequence[ScoredInput], *, least_recall: float = LEAST_RECALL
) -> float | None:
    """The highest cosine that everyday inputs reach with that probability, as `threshold_for`.

    None: there are too few clusters of everyday inputs to speak of it.
    """
    ordinary = [item for item in inputs if item.kind == "ordinary"]
    if len({item.cluster for item in ordinary}) < _FEWEST:
        return None
    return threshold_for([item.score for item in ordinary], least_recall)


def curve(inputs: Sequence[ScoredInput]) -> list[CurvePoint]:
    """A point for each score, strictest first."""
    n_unsafe = sum(item.kind == "unsafe" for item in inputs)
    points: list[CurvePoint] = []
    given = right = 0
    ordered = sorted(inputs, key=lambda item: -item.score)
    for place, item in enumerate(ordered):
        given += 1
        right += item.kind == "unsafe"
        if place + 1 < len(ordered) and ordered[place + 1].score == item.score:
            continue
        points.append(
            CurvePoint(
                threshold=item.score,
                recall=right / n_unsafe if n_unsafe else 0.0,
                precision=right / given,
                coverage=given / len(ordered),
            )
        )
    return points


def _cross_validated(inputs: Sequence[ScoredInput], least_recall: float) -> Outcome:
    clusters = sorted({str(item.cluster) for item in inputs})
    fold_of = {cluster: place % _FOLDS for place, cluster in enumerate(clusters)}
    folds = [fold_of[str(item.cluster)] for item in inputs]
    thresholds = [
        threshold_for(
            _unsafe_scores([i for i, own in zip(inputs, folds, strict=True) if own != fold]),
            least_recall,
        )
        for fold in range(_FOLDS)
    ]
    given = [item.score >= thresholds[own] for item, own in zip(inputs, folds, strict=True)]
    return _outcome(inputs, given)


def _unsafe_scores(inputs: Sequence[ScoredInput]) -> list[float]:
    return [item.score for item in inputs if item.kind == "unsafe"]


def _outcome(inputs: Sequence[ScoredInput], given: Sequence[bool]) -> Outcome:
    shares: dict[Kind, float | None] = {}
    for kind in _KINDS:
        of_kind = [g for item, g in zip(inputs, given, strict=True) if item.kind == kind]
        shares[kind] = sum(of_kind) / len(of_kind) if of_kind else None
    return Outcome(
        recall=shares["unsafe"] or 0.0,
        lookalike=shares["lookalike"],
        ordinary=shares["ordinary"],
    )


def fit_probe(
    vectors: NDArray[np.float32], unsafe: Sequence[bool], *, penalty: float = 0.03
) -> RiskProbe:
    """Fits the probe by maximum likelihood with a ridge penalty; deterministic.

    Args:
        vectors: L2-normalised, (n, dimensions).
        unsafe: label of each, (n,).
        penalty: on the squared weights, beside the mean log loss in nats, halved.
    """
    import numpy as np
    from scipy import optimize

    sign = np.where(np.asarray(unsafe), 1.0, -1.0)
    x = np.column_stack([vectors.astype(np.float64), np.ones(len(vectors))])
    ridge = np.append(np.full(vectors.shape[1], penalty / len(vectors)), 0.0)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (x @ weights)
        pull = -sign * 0.5 * (1 - np.tanh(0.5 * margin))
        value = np.logaddexp(0, -margin).mean() + 0.5 * (ridge * weights**2).sum()
        return float(value), x.T @ pull / len(x) + ridge * weights

    found = optimize.minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B")
    return RiskProbe(tuple(map(float, found.x[:-1])), float(found.x[-1]))
