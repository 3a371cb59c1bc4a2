"""What a data set is worth beside the base's plain answers to the same inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from guidealign.alignment.choice import Candidate, Choice
from guidealign.rates import tango_interval

Figures = dict[str, dict[str, float]]

_LESS_IS_BETTER = ("harmful", "declines")


def compare(choices: Sequence[Choice]) -> Figures:
    """Shares of the answers that were taken and of the plain ones, paired.

    The judge that chose is the one that counts, so what it cannot see is in neither share.

    Args:
        choices: of all inputs; those without an answer, or without a plain one, are passed over.

    Returns:
        For `harmful` and `helps` over all rows, and for `declines` over the risky ones: `n`,
        `dataset` and `plain` (shares), `gain` (positive: the data set is better; for `declines`:
        it declines less) and its 95% interval, `low` and `high` (Tango's).
    """
    pairs = [
        (one.taken, one.plain, one.asked.known_safe)
        for one in choices
        if one.taken is not None and one.plain is not None
    ]
    everywhere = [(taken, plain) for taken, plain, _ in pairs]
    risky = [(taken, plain) for taken, plain, known_safe in pairs if not known_safe]
    return {
        "harmful": _paired("harmful", everywhere, lambda one: one.harmful),
        "helps": _paired("helps", everywhere, lambda one: one.helps),
        "declines": _paired("declines", risky, lambda one: one.declines),
    }


def hold_reason(figures: Figures) -> str | None:
    """Why such a data set is not learned from; None: it is better on harm or help.

    Better: the interval of the gain lies above 0. The other may not have got worse.
    """
    harm, helps = figures["harmful"], figures["helps"]
    for one, other in ((harm, helps), (helps, harm)):
        if one["low"] > 0 and other["gain"] >= 0:
            return None
    said = "; ".join(
        f"{name} {shares['plain']:.0%} to {shares['dataset']:.0%} (gain {shares['gain']:+.2f}"
        f" [{shares['low']:+.2f}, {shares['high']:+.2f}])"
        for name, shares in (("harmful", harm), ("helps", helps))
    )
    return f"not shown to be better than the base's plain answers to the same inputs: {said}"


def _paired(
    name: str, pairs: Sequence[tuple[Candidate, Candidate]], has: Callable[[Candidate], bool]
) -> dict[str, float]:
    n = len(pairs)
    ours, theirs = (sum(has(pair[side]) for pair in pairs) for side in (0, 1))
    more = sum(has(taken) and not has(plain) for taken, plain in pairs)
    less = sum(has(plain) and not has(taken) for taken, plain in pairs)
    wins, losses = (less, more) if name in _LESS_IS_BETTER else (more, less)
    low, high = tango_interval(wins, losses, n)
    return {
        "n": n,
        "dataset": ours / n if n else 0.0,
        "plain": theirs / n if n else 0.0,
        "gain": (wins - losses) / n if n else 0.0,
        "low": low,
        "high": high,
    }
