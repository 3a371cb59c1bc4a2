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
