"""A release as one immutable object: searched without a database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from guidealign.records import Release, RetrievedGuideline

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SPARE = 40
"""Candidates beyond those asked for: some may be in conflict with a better one."""


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """What was decided about a release and its guidelines since it was made."""

    retired: frozenset[int] = frozenset()
    conflicts: frozenset[tuple[int, int]] = frozenset()
    """Open ones, the lower id first: never served together."""
    proven_for: frozenset[str] = frozenset()
    """Models that the release's policy is proven or vouched for; what is not known is not here."""


@dataclass(frozen=True, kw_only=True)
class Texts:
    """The guidelines of a library version, in the order of their ids."""

    ids: NDArray[np.int64]
    titles: tuple[str, ...]
    texts: tuple[str, ...]
    categories: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What one release serves. Nothing in it changes; a newer one takes its place as a whole."""

    release: Release
    guidelines: Texts
    vectors: NDArray[np.float32]
    """(n, dimensions), L2-normalised; of a large library mapped from a file, not in memory."""
    in_memory: bool
    overlay: Overlay = field(default=Overlay())

    @cached_property
    def _served(self) -> NDArray[np.bool_]:
        import numpy as np

        return ~np.isin(self.guidelines.ids, list(self.overlay.retired))

    @cached_property
    def _categories(self) -> NDArray[np.str_]:
        import numpy as np

        return np.asarray(self.guidelines.categories)

    @cached_property
    def rivals(self) -> dict[int, frozenset[int]]:
        """By guideline: those in open conflict with it."""
        found: dict[int, set[int]] = {}
        for left, right in self.overlay.conflicts:
            found.setdefault(left, set()).add(right)
            found.setdefault(right, set()).add(left)
        return {one: frozenset(others) for one, others in found.items()}

    def scores(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosines of L2-normalised queries (m, dimensions) with all guidelines, (m, n)."""
        return queries @ self.vectors.T

    def best(
        self, scores: NDArray[np.float32], *, k: int, risks: Sequence[str] | None = None
    ) -> list[RetrievedGuideline]:
        """The k guidelines of the highest scores (n,), as `library.search` finds them.

        What was retired is not among them, nor are two in open conflict.

        Args:
            scores: of every guideline; best first, then by id.
            k: how many; fewer come back only when there are no more.
            risks: categories to look among; None: all.
        """
        import numpy as np

        mask = self._served
        if risks is not None:
            mask = mask & np.isin(self._categories, list(risks))
        scores = np.where(mask, scores, -np.inf)
        n = int(mask.sum())
        want = min(n, k + (_SPARE if self.rivals else 0))
        while True:
            kept = list(self._kept(scores, want, k))
            if len(kept) == k or want == n:
                break
            want = min(n, 4 * want)
        return [self._guideline(place, rank, scores) for rank, place in enumerate(kept, start=1)]

    def _kept(self, scores: NDArray[np.float32], want: int, k: int) -> Iterator[int]:
        """Places of the first k of the `want` best of which none is in conflict with a better."""
        import numpy as np

        if want == 0:
            return
        least = np.partition(scores, len(scores) - want)[len(scores) - want]
        places = np.flatnonzero(scores >= least)
        ids = self.guidelines.ids
        barred: set[int] = set()
        n = 0
        for place in places[np.lexsort((ids[places], -scores[places]))]:
            guideline_id = int(ids[place])
            if guideline_id in barred:
                continue
            barred |= self.rivals.get(guideline_id, frozenset())
            yield int(place)
            n += 1
            if n == k:
                return

    def _guideline(self, place: int, rank: int, scores: NDArray[np.float32]) -> RetrievedGuideline:
        given = self.guidelines
        return RetrievedGuideline(
            guideline_id=int(given.ids[place]),
            title=given.titles[place],
            text=given.texts[place],
            category=given.categories[place],
            rank=rank,
            score=float(scores[place]),
        )


def searched_elsewhere(release: Release, overlay: Overlay) -> Snapshot:
    """A release whose guidelines stay in the database."""
    import numpy as np

    nothing = Texts(ids=np.zeros(0, dtype=np.int64), titles=(), texts=(), categories=())
    return Snapshot(
        release=release,
        guidelines=nothing,
        vectors=np.zeros((0, 0), dtype=np.float32),
        in_memory=False,
        overlay=overlay,
    )
