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
