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
    return [items[place] for place in sorted(in_turns(items, by=by)[:n])]


def in_turns(
    items: Sequence[_T], *, by: Callable[[_T], Any], size: Callable[[_T], int] = lambda _: 1
) -> list[int]:
    """Places of the items in an order in which groups take turns by the size that each has had.

    Args:
        items: to order.
        by: an item's group; of groups that have had as much, the names decide.
        size: of an item.
    """
    had: Counter[Any] = Counter()
    turns = []
    for place, item in enumerate(items):
        group = by(item)
        turns.append((had[group], group, place))
        had[group] += size(item)
    return [place for *_, place in sorted(turns)]
