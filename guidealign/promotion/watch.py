"""After a promotion: live answers against those before it, and the way back when they are worse."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from guidealign.db import guard_database, latest_release
from guidealign.promotion import _watch_store, store
from guidealign.promotion._steps import FIELD
from guidealign.promotion._watch_store import Counts, Promotion
from guidealign.promotion.switch import SwitchResult, rollback
from guidealign.rates import Rate
from guidealign.registry import Registry
from guidealign.settings import Settings, WatchSettings

ACTOR = "watch"
_GROWTH = 1.25
"""By which the conversations must have grown since the last analysis: each spends level."""
_MEASURES = ("refused", "disliked", "harmful")


@dataclass(frozen=True, kw_only=True)
class InterimAnalysis:
    """One measure of one model, analysed now or waiting for more conversations."""

    model_name: str
    version: int
    version_before: int
    measure: str
    counts: Counts
    least_increase: float | None
    """Lower bound of the increase of the share; None: too few to analyse."""
    allowed: float
    is_breach: bool

    def as_dict(self) -> dict[str, Any]:
        """For people and schedulers."""
        return asdict(self)

    def __str__(self) -> str:
        """One line."""
        c = self.counts
        shares = (
            f"{self.measure} {c.k_since} of {c.n_since} since version {self.version},"
            f" {c.k_before} of {c.n_before} under {self.version_before}"
        )
        if self.least_increase is None:
            return f"{shares}: too few to tell, or too few more than at the last analysis"
        verb = "more than" if self.is_breach else "of"
        return f"{shares}: at least {self.least_increase:+.3f}, {verb} {self.allowed:.3f} allowed"


@dataclass(frozen=True, kw_only=True)
class WatchResult:
    """What one watch saw and did."""

    analyses: tuple[InterimAnalysis, ...]
    rolled_back: tuple[SwitchResult, ...]

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler's metadata."""
        return {
            "looks": [analysis.as_dict() for analysis in self.analyses],
            "rolled_back": [done.as_dict() for done in self.rolled_back],
        }


def watch_promotions(*, engine: Engine, settings: Settings, registry: Registry) -> WatchResult:
    """Looks at what serves since a promotion, and rolls back what is worse than is allowed.

    Raises:
        ServiceUnavailableError: database or registry do not answer.
    """
    analyses: list[InterimAnalysis] = []
    done = []
    for model_name in FIELD:
        seen = analyse_promotion(model_name, engine=engine, settings=settings)
        analyses += seen
        breaches = [analysis for analysis in seen if analysis.is_breach]
        if breaches and settings.watch.roll_back:
            reason = "; ".join(map(str, breaches))
            parts: dict[str, Any] = {"engine": engine, "settings": settings, "registry": registry}
            done.append(rollback(model_name, actor=ACTOR, reason=reason, **parts))
    return WatchResult(analyses=tuple(analyses), rolled_back=tuple(done))


def analyse_promotion(
    model_name: str, *, engine: Engine, settings: Settings
) -> list[InterimAnalysis]:
    """Each measure of one model, stored once; none while it is not freshly promoted."""
    wanted = settings.watch
    with guard_database(), store.switch_lock(engine), engine.begin() as connection:
        promotion = _watch_store.last_promotion(connection, model_name)
        live = store.live_version(latest_release(connection), model_name)
        if promotion is None or promotion.version != live:
            return []
        if datetime.now(UTC) - promotion.at > timedelta(days=wanted.days):
            return []
        counts = _watch_store.count_marks(
            connection,
            promotion,
            days=wanted.days,
            served=settings.labrador_server.model,
            harm_measure=wanted.harm_measure,
        )
        analyses = []
        for measure in _MEASURES:
            known = counts.get(measure, Counts())
            number, n_then = _watch_store.last_analysis(connection, promotion.id, measure)
            bound = _bound(known, n_then, number + 1, wanted)
            analysis = _analysis(promotion, measure, known, bound, wanted)
            analyses.append(analysis)
            if bound is not None:
                values = {**asdict(known), "promotion_id": promotion.id, "measure": measure}
                values |= {"look": number + 1, "least_increase": bound}
                values |= {"allowed": analysis.allowed, "is_breach": analysis.is_breach}
                _watch_store.add_analysis(connection, values)
    return analyses


def _bound(counts: Counts, n_then: int, number: int, wanted: WatchSettings) -> float | None:
    """What an analysis finds; None: too few conversations, or too few more than at the last."""
    least = max(wanted.least_conversations, _GROWTH * n_then)
    if counts.n_since < least or counts.n_before < wanted.least_conversations:
        return None
    # Brings scipy in, which takes seconds: who rolls back does not wait for it.
    from guidealign.gates import InterimPlan, interim_level

    level = interim_level(wanted.level / len(_MEASURES), number, InterimPlan())
    return least_increase(counts, level)


def _analysis(
    promotion: Promotion, measure: str, counts: Counts, bound: float | None, wanted: WatchSettings
) -> InterimAnalysis:
    allowed: float = getattr(wanted, f"{measure}_margin")
    return InterimAnalysis(
        model_name=promotion.model_name,
        version=promotion.version,
        version_before=promotion.version_before,
        measure=measure,
        counts=counts,
        least_increase=bound,
        allowed=allowed,
        is_breach=bound is not None and bound > allowed,
    )


def least_increase(counts: Counts, level: float) -> float:
    """One-sided lower bound of the difference of two independent shares.

    Newcombe's hybrid of Wilson intervals (Statistics in Medicine 17, 1998, method 10).
    """
    before, since = Rate(counts.k_before, counts.n_before), Rate(counts.k_since, counts.n_since)
    _, high = before.interval(2 * level)
    low, _ = since.interval(2 * level)
    return since.value - before.value - math.hypot(since.value - low, high - before.value)
