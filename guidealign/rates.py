"""A share never travels without what it was counted over, nor without its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class Rate:
    """So many of so many; `value` is 0 where there is nothing to count."""

    hits: int
    n: int

    @property
    def value(self) -> float:
        """The share, in [0, 1]."""
        return self.hits / self.n if self.n else 0.0

    def interval(self, level: float = 0.05) -> tuple[float, float]:
        """Wilson's interval; (0, 1) when there are no cases."""
        return wilson_interval(self.hits, self.n, level=level)

    def as_dict(self) -> dict[str, float]:
        """For output."""
        low, high = self.interval()
        return {"hits": self.hits, "n": self.n, "value": self.value, "low": low, "high": high}


def wilson_interval(successes: int, n: int, *, level: float = 0.05) -> tuple[float, float]:
    """Wilson's score interval of a rate (Wilson 1927); (0, 1) when there are no cases."""
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(1 - level / 2)
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def rogan_gladen_interval(
    said: Rate, sensitivity: Rate, specificity: Rate, *, level: float = 0.05
) -> tuple[float, float, float]:
    """A judge's rate, corrected for its errors (Rogan and Gladen 1978), with its interval.

    Of a share p, a judge says p Se + (1 - p)(1 - Sp); solved for p. The interval is that of Lang
    and Reiczigel (Preventive Veterinary Medicine 113, 2014, 13-22), which moves all three shares
    a little inwards and so holds with few labels too. Sensitivity and specificity may come from
    other answers, if the judge errs on them as it does on these.

    Args:
        said: how many of all answers the judge says it of.
        sensitivity: of those of which people say so, how many the judge finds.
        specificity: of those of which people do not, how many the judge leaves.
        level: is left out on both sides together.

    Returns:
        Rate and ends of the interval, in [0, 1].

    Raises:
        ValueError: there is nothing to count, or the judge is no better than a coin.
    """
    if not (said.n and sensitivity.n and specificity.n):
        raise ValueError("a judge is corrected with answers of both kinds, and some of its own")
    z = NormalDist().inv_cdf(1 - level / 2)
    n, n_found, n_left = said.n + z * z, sensitivity.n + 2.0, specificity.n + 2.0
    rate = (said.hits + z * z / 2) / n
    found, left = (sensitivity.hits + 1) / n_found, (specificity.hits + 1) / n_left
    better = found + left - 1
    if better <= 0 or sensitivity.value + specificity.value <= 1:
        raise ValueError("the judge says it as often of what is not so: it corrects nothing")
    middle = (rate + left - 1) / better
    off_found = middle * found * (1 - found) / n_found
    off_left = (1 - middle) * left * (1 - left) / n_left
    half = (
        z / better * math.sqrt(rate * (1 - rate) / n + middle * off_found + (1 - middle) * off_left)
    )
    moved = middle + 2 * z * z * (off_found - off_left)
    plain = (said.value + specificity.value - 1) / (sensitivity.value + specificity.value - 1)
    low, high = (min(1.0, max(0.0, end)) for end in (moved - half, moved + half))
    return min(1.0, max(0.0, plain)), low, high


def tango_score(wins: float, losses: float, n: float, gain: float) -> float:
    """Tango's z (Statistics in Medicine 17, 1998, 891-908) of wins and losses on the same n cases.

    How far the counts are from a true gain, in standard errors under it.
    """
    distance = wins - losses - n * gain
    # The most likely share of losses under that gain is the larger root of a quadratic.
    b = (2 * n - wins + losses) * gain - wins - losses
    c = -losses * gain * (1 - gain)
    lost = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
    variance = n * (2 * lost + gain * (1 - gain))
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def tango_interval(
    wins: float, losses: float, n: float, level: float = 0.025
) -> tuple[float, float]:
    """Tango's interval of the gain (wins - losses) / n; wide even where nothing changed.

    Args:
        wins: cases won; broken where they are those of an effective number of cases.
        losses: cases lost.
        n: cases, ties among them; (-1, 1) comes of none.
        level: is left out on each side.
    """
    # Brings scipy in, which takes seconds: only who wants such an interval waits for it.
    from scipy import optimize

    if n == 0:
        return -1.0, 1.0
    z = -NormalDist().inv_cdf(level) if level > 0 else math.inf
    seen = (wins - losses) / n
    edge = 1 - 1e-9

    def end(target: float, near: float, far: float) -> float:
        def miss(gain: float) -> float:
            return tango_score(wins, losses, n, gain) - target

        if miss(near) * miss(far) > 0:
            return far
        return float(optimize.brentq(miss, near, far, xtol=1e-10))

    low = -1.0 if seen <= -edge else end(z, min(seen, edge), -edge)
    high = 1.0 if seen >= edge else end(-z, max(seen, -edge), edge)
    return low, high
