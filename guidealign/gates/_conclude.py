"""Turns figures into a verdict, and the sentence that says why."""

from __future__ import annotations

from guidealign.gates.model import CheckOutcome, CheckResult
from guidealign.gates.paired_statistics.comparison import GainAnswer
from guidealign.gates.policy import CheckPolicy
from guidealign.records import Verdict

_ORDER: tuple[tuple[CheckOutcome, Verdict], ...] = (
    ("fail", "reject"),
    ("unusable", "hold"),
    ("inconclusive", "inconclusive"),
)


def conclude(evidence: tuple[CheckResult, ...]) -> tuple[Verdict, str]:
    """Concludes: promote only when every check passes; what is shown outweighs what is missing.

    Returns:
        `promote`; `reject`: shown to fall short; `hold`: something cannot be compared;
        `inconclusive`: the cases don't decide. Only the first moves anything.
    """
    if not evidence:
        return "inconclusive", "there is no check"
    for outcome, verdict in _ORDER:
        reasons = [f"{c.name}: {c.reason}" for c in evidence if c.outcome == outcome]
        if reasons:
            return verdict, "; ".join(reasons)
    return "promote", "; ".join(f"{c.name}: {c.reason}" for c in evidence)


def outcome_of(
    check: CheckPolicy,
    answer: GainAnswer,
    level: float,
    p_adjusted: float,
    worse: tuple[str, ...],
) -> tuple[CheckOutcome, str]:
    """Tells the outcome of one check by its figures.

    Args:
        check: says what is asked.
        answer: the figures.
        level: of this look.
        p_adjusted: after Holm's correction, where the check is corrected.
        worse: categories that lose too much.
    """
    seen = f"gain {_figures(answer)} on {answer.n} cases"
    if worse:
        return "fail", f"worse in {', '.join(worse)}; overall {seen}"
    if answer.p_below <= level:
        return "fail", (
            f"{seen} lies below {check.bar:+.3g} (p = {answer.p_below:.2g}, level {level:.2g})"
        )
    if p_adjusted > level:
        holm = "" if p_adjusted == answer.p_above else f", {p_adjusted:.2g} with Holm"
        return "inconclusive", (
            f"{seen} is not shown to lie above {check.bar:+.3g} (p = {answer.p_above:.2g}{holm},"
            f" level {level:.2g}); {_say_power(check, answer)}"
        )
    # Asked of the whole level: a later look's smaller one must not shut out great gains.
    if answer.whole_power < check.min_power:
        return "inconclusive", (
            f"{seen} would do, but the cases are too few: {_say_power(check, answer)}"
        )
    if answer.n_clusters < answer.cases_for_skew:
        return "inconclusive", (
            f"{seen} would do, but a few great losses among many small gains need more cases to be"
            f" seen: about {answer.cases_for_skew} prompts, and there are {answer.n_clusters}"
        )
    return "pass", (
        f"{seen} lies above {check.bar:+.3g} (p = {p_adjusted:.2g}, level {level:.2g});"
        f" power {answer.power:.2f}"
    )


def _figures(answer: GainAnswer) -> str:
    return f"{answer.gain:+.3f} [{answer.low:+.3f}, {answer.high:+.3f}]"


def _say_power(check: CheckPolicy, answer: GainAnswer) -> str:
    truth = f"a true gain of {check.target:+.3g}" if check.target else "two equal models"
    said = f"power {answer.power:.2f} for {truth}"
    if answer.power >= check.min_power:
        return said
    needed = "more than ten million" if answer.needed_cases is None else f"{answer.needed_cases}"
    return f"{said} is below {check.min_power:g}, which takes about {needed} cases"
