"""The results of checks, and the decision that is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from guidealign.records import Verdict

CheckOutcome = Literal["pass", "fail", "inconclusive", "unusable"]
"""`fail`: shown to fall short; `unusable`: what there is cannot be compared at all."""
UNUSABLE = "+unusable"
"""In an evaluator's fingerprint: the judge has not shown that it may decide something."""


@dataclass(frozen=True, kw_only=True)
class PeopleLabels:
    """What people say of answers that were drawn by design, in a judge's terms."""

    metric: str
    """The judge's, such as `harmful`."""
    values: Mapping[tuple[int, str], float]
    """By version and case: 1.0 where people say so, 0.0 where not."""
    strata: Mapping[str, str] = field(default_factory=dict)
    """By case, labelled or not, the stratum within which labels were drawn at random; empty: one
    draw from all cases."""


@dataclass(frozen=True, kw_only=True)
class PeopleFigures:
    """How far a check's judge agrees with people, and what their labels alone say."""

    n_labels: int
    """Cases of which people judged both answers."""
    kappa: float
    kappa_low: float
    kappa_high: float
    gain: float
    """From the labels alone, with the interval that the check's level leaves."""
    low: float
    high: float
    needed_labels: int | None
    """For the policy's power with this judge; None: it takes more cases, or a better judge."""


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What one check found. Means, difference and interval are in the policy's unit.

    The difference is a gain: more is better, whichever way the metric points.
    """

    name: str
    kind: str
    must: str
    outcome: CheckOutcome
    reason: str
    effect: float
    """The smallest difference of interest."""
    level: float
    """Of the policy: spent over all looks."""
    test: str = "paired_bootstrap"
    metric: str | None = None
    benchmark: str | None = None
    anchor: int | None = None
    """The version since which a loss is counted; None: it is compared with the champion."""
    at_equal: str | None = None
    """The check whose gain is added; means are then sums of both, turned so that more is better."""
    margin: float = 0.0
    look: int = 1
    look_level: float | None = None
    """What this look may spend of the level; the interval leaves out so much on each side."""
    n: int = 0
    n_clusters: int = 0
    n_planned: int = 0
    n_unscored: int = 0
    champion_mean: float | None = None
    challenger_mean: float | None = None
    champion_rate: tuple[float, float] | None = None
    """Clopper and Pearson's 95% interval of a yes/no metric's rate."""
    challenger_rate: tuple[float, float] | None = None
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    """After Holm's correction; that of `not_be_worse` is the plain one."""
    wins: int = 0
    """Clusters on which the challenger is better; `ties` those where nothing changed."""
    losses: int = 0
    ties: int = 0
    power: float | None = None
    """At this look's level, for the smallest gain of interest or for two equal models."""
    whole_power: float | None = None
    """The same at the policy's level, on which the policy's demand for power is made."""
    design_effect: float | None = None
    """Variance of the gain with categories as clusters over that with prompts: above 1, cases of
    one category are alike; None: there are too few categories to tell."""
    needed_cases: int | None = None
    """For the policy's power, at the spread that was measured; None: cannot be told."""
    worse_categories: tuple[str, ...] = ()
    unguarded_categories: tuple[str, ...] = ()
    """Too few cases to be looked at one by one."""
    people: PeopleFigures | None = None
    """Of a check whose judge was corrected with people's labels."""

    @property
    def bar(self) -> float:
        """What the gain must be shown to lie above."""
        return self.margin if self.must == "be_better" else -self.margin

    def as_dict(self) -> dict[str, Any]:
        """For the database and the report; lists, since JSON has no tuples."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> CheckResult:
        """Reads what `as_dict` wrote."""
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()
        }
        if values.get("people"):
            values["people"] = PeopleFigures(**values["people"])
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class GateDecision:
    """A verdict with everything it was made from."""

    decision_id: int
    model_name: str
    challenger_version: int
    champion_version: int
    verdict: Verdict
    reason: str
    evidence: tuple[CheckResult, ...]
    unit: str

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler's metadata."""
        return asdict(self) | {"evidence": [check.as_dict() for check in self.evidence]}
