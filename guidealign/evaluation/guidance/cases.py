"""Which cases of the evaluation set are asked when not all are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from guidealign.evaluation.benchmarks import BenchmarkCase

_TWINS = ("/risky", "/benign")


def first_cases(cases: Sequence[BenchmarkCase], n: int | None) -> list[BenchmarkCase]:
    """At most n cases, always the same; fewer of them are always a part of more.

    Categories take turns and have as many cases each, in each of them clusters take turns, and a
    risky prompt and its benign twin are taken together.

    Args:
        cases: of a part of the evaluation set.
        n: how many; None: all.
    """
    if n is None or n >= len(cases):
        return list(cases)
    pairs: dict[str, list[BenchmarkCase]] = {}
    for case in cases:
        pairs.setdefault(_pair_of(case), []).append(case)
    in_cluster: Counter[str] = Counter()
    turns: list[tuple[int, str, int]] = []
    for place, pair in enumerate(pairs.values()):
        turns.append((in_cluster[pair[0].cluster], pair[0].cluster, place))
        in_cluster[pair[0].cluster] += 1
    units = list(pairs.values())
    in_category: Counter[str] = Counter()
    ranked: list[tuple[int, str, int]] = []
    for *_, place in sorted(turns):
        category = units[place][0].category
        ranked.append((in_category[category], category, place))
        in_category[category] += len(units[place])
    taken: list[BenchmarkCase] = []
    for *_, place in sorted(ranked):
        if len(taken) + len(units[place]) > n:
            break
        taken += units[place]
    return taken


def _pair_of(case: BenchmarkCase) -> str:
    for twin in _TWINS:
        if case.case_id.endswith(twin):
            return case.case_id.removesuffix(twin)
    return case.case_id
