"""Runs the gates of a policy on what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from guidealign.gates._cases import Obstacle
from guidealign.gates._conclude import outcome_of
from guidealign.gates._interim_analyses import holm, interim_level
from guidealign.gates._measure import InterimAnalysis, Measured, measure
from guidealign.gates.model import CheckResult, PeopleFigures, PeopleLabels
from guidealign.gates.policy import CheckPolicy, GatePolicy, InterimPlan
from guidealign.records import EvaluationRun
from guidealign.settings import GateSettings

Runs = EvaluationRun | Sequence[EvaluationRun]
"""One run, or one for each metric and benchmark that a policy names."""


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """A frozen version beside the champion, since which a policy bounds the loss."""

    version: int
    runs: tuple[EvaluationRun, ...]
    look: int = 1
    """How often a challenger was compared with it, this time included."""


def as_runs(runs: Runs) -> tuple[EvaluationRun, ...]:
    """Turns one run, or several, into a tuple."""
    return (runs,) if isinstance(runs, EvaluationRun) else tuple(runs)


def check_all(  # noqa: PLR0913 - by which policy, on what, and beside what
    policy: GatePolicy,
    challenger: Runs,
    champion: Runs,
    settings: GateSettings,
    *,
    look: int = 1,
    anchor: Anchor | None = None,
    labels: Sequence[PeopleLabels] = (),
) -> tuple[CheckResult, ...]:
    """Runs every check of a policy; what cannot be compared passes none of them.

    The checks that must be better share their level by Holm's correction, since each gain is
    told on its own. Those that must not be worse need none: all of them have to pass, so that a
    wrong promotion takes a wrong pass of the very check that should have failed (an
    intersection-union test, Berger 1982). So it is with a loss since the anchor.

    Args:
        policy: what to show.
        challenger: its run, or runs.
        champion: of the same benchmarks, metrics and evaluators.
        settings: bootstrap and seed.
        look: how often this champion was challenged, this time included.
        anchor: of a policy that has budgets of loss; None: they pass nothing.
        labels: what people say of answers, for checks whose judge is corrected.
    """
    ours, theirs = as_runs(challenger), as_runs(champion)
    looks = [
        InterimAnalysis(
            check=check,
            number=look,
            level=interim_level(check.level, look, policy.looks),
            settings=settings,
            metric=policy.metric,
            beside=policy.named(check.at_equal) if check.at_equal else None,
            labels=tuple(labels),
        )
        for check in policy.checks
    ]
    found = [measure(at, ours, theirs) for at in looks]
    plain = [m.answer.p_above if isinstance(m, Measured) else 1.0 for m in found]
    claims = [i for i, check in enumerate(policy.checks) if check.must == "be_better"]
    adjusted = dict(zip(claims, holm([plain[i] for i in claims]), strict=True))
    return tuple(
        _report(at, measured, adjusted.get(i, plain[i]))
        for i, (at, measured) in enumerate(zip(looks, found, strict=True))
    ) + _since_anchor(policy, ours, anchor, settings, tuple(labels))


def _since_anchor(
    policy: GatePolicy,
    challenger: tuple[EvaluationRun, ...],
    anchor: Anchor | None,
    settings: GateSettings,
    labels: tuple[PeopleLabels, ...],
) -> tuple[CheckResult, ...]:
    """Asks of every check with a budget whether the loss since the anchor is within it."""
    if policy.anchor is None:
        return ()
    anchor = anchor or Anchor(version=policy.anchor, runs=())
    results = []
    for check in policy.checks:
        if check.budget is None:
            continue
        changes = {
            "name": f"{check.name}, since version {anchor.version}",
            "margin": check.budget,
            "power_at": None,
            "category_margin": None,
        }
        at = InterimAnalysis(
            check=check.model_copy(update=changes),
            number=anchor.look,
            # There is no end of challengers of an anchor, whatever is planned for a champion.
            level=interim_level(check.level, anchor.look, InterimPlan()),
            settings=settings,
            metric=policy.metric,
            beside=policy.named(check.at_equal) if check.at_equal else None,
            anchor=anchor.version,
            labels=labels,
        )
        results.append(_report_alone(at, challenger, anchor.runs))
    return tuple(results)


def check_once(
    check: CheckPolicy, challenger: EvaluationRun, champion: EvaluationRun, settings: GateSettings
) -> CheckResult:
    """Runs one comparison outside of any policy: no other interim analysis, no correction.

    What it would be `at_equal` with is another check of a policy, and is left out.
    """
    look = InterimAnalysis(
        check=check, number=1, level=check.level, settings=settings, metric=challenger.metric
    )
    return _report_alone(look, (challenger,), (champion,))


def _report_alone(
    look: InterimAnalysis,
    challenger: tuple[EvaluationRun, ...],
    champion: tuple[EvaluationRun, ...],
) -> CheckResult:
    found = measure(look, challenger, champion)
    return _report(look, found, found.answer.p_above if isinstance(found, Measured) else 1.0)


def _report(look: InterimAnalysis, found: Measured | Obstacle, p_adjusted: float) -> CheckResult:
    check = look.check
    common: dict[str, Any] = {
        "name": check.name,
        "kind": check.kind,
        "must": check.must,
        "test": check.test,
        "metric": check.metric or look.metric,
        "benchmark": check.benchmark,
        "anchor": look.anchor,
        "at_equal": look.beside and look.beside.name,
        "effect": check.smallest_effect,
        "margin": check.margin,
        "level": check.level,
        "look": look.number,
        "look_level": look.level,
    }
    if isinstance(found, Obstacle):
        return CheckResult(
            **common,
            outcome="inconclusive" if found.too_few else "unusable",
            reason=found.reason,
            n=found.n,
            n_planned=found.n_planned,
            n_unscored=found.n_unscored,
        )
    gains, answer = found.gains, found.answer
    outcome, reason = outcome_of(check, answer, look.level, p_adjusted, found.worse)
    return CheckResult(
        **common,
        outcome=outcome,
        reason=reason + _say_people(found.people),
        people=found.people,
        n=gains.n_planned - gains.n_unscored,
        n_planned=gains.n_planned,
        n_unscored=gains.n_unscored,
        n_clusters=answer.n_clusters,
        champion_mean=gains.champion_mean,
        challenger_mean=gains.challenger_mean,
        champion_rate=gains.champion_rate,
        challenger_rate=gains.challenger_rate,
        difference=answer.gain,
        ci_low=answer.low,
        ci_high=answer.high,
        p_value=answer.p_above,
        p_adjusted=p_adjusted,
        wins=answer.wins,
        losses=answer.losses,
        ties=answer.ties,
        power=answer.power,
        whole_power=answer.whole_power,
        design_effect=answer.design_effect,
        needed_cases=answer.needed_cases,
        worse_categories=found.worse,
        unguarded_categories=found.unguarded,
    )


def _say_people(people: PeopleFigures | None) -> str:
    if people is None:
        return ""
    needed = people.needed_labels
    return (
        f"; the judge (kappa {people.kappa:.2f} [{people.kappa_low:.2f}, {people.kappa_high:.2f}])"
        f" is corrected with {people.n_labels} labelled cases, which alone say"
        f" {people.gain:+.3f} [{people.low:+.3f}, {people.high:+.3f}]; the power asked for takes"
        + (f" about {needed} of them" if needed else " more cases, or a better judge")
    )
