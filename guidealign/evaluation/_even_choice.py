"""An even choice takes turns over groups, so that a small part of a set leaves none out first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

_T = TypeVar("_T")


def even_choice(items: Sequence[_T], n: int | None, *, by: Callable[[_T], Any]) -> list[_T]:
    """Returns `n` items, always the same, in the order given.

    Args:
        items: to choose from.
        n: how many; None: all.
        by: an item's group; groups take turns in the order of their names.
    """
    if n is None:
        return list(items)
    seen: Counter[Any] = Counter()
    turns = []
    for place, item in enumerate(items):
        group = by(item)
        turns.append((seen[group], group, place))
        seen[group] += 1
    return [items[place] for place in sorted(place for *_, place in sorted(turns)[:n])]
