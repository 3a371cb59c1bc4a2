"""Near-duplicates by wording at the scale of the paper, with nothing missed.

Guide-Align (arXiv 2403.11838) keeps 33 thousand of 767,207 guidelines by fuzzy de-duplication
at 0.75; its code leaves how to the reader. Comparing all pairs is 2.9e11 comparisons. Here a
text is dropped as soon as *one* earlier kept text is near enough, and most find theirs by
shared character 8-grams (MinHash, Broder 1997). Only what finds none is compared with all
that was kept, so the result is the one of the full comparison.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

from guidealign.ingest import fold_text

_BLOCK = 2_000
"""Texts that are compared with one state of what was kept."""
_KEYS = 32
# A pair that shares a quarter of its 8-grams shares one of 32 keys with probability 0.9999.
_BUCKET = 256
_RARE = 32
"""Most texts that share a key that says something; what more share is looked at last."""
_TRIED = 16
_GROUP = 64
"""Texts of like length that are compared with the kept ones of that length at once."""
_GRAM = 8
"""Characters a key looks at: more than a word, for words alone are in every other text."""
_MAX_KEY = np.uint32(0xFFFFFFFF)
_MIX = np.uint32(0x01000193)


@dataclass(frozen=True)
class FuzzyDuplicates:
    """What was kept, and for everything else the earlier text that says the same."""

    kept: NDArray[np.int64]
    """Positions of the kept texts, ascending."""
    witness: NDArray[np.int64]
    """Position of a kept text that is near enough, (n,); -1 for what is kept itself."""
    score: NDArray[np.float32]
    """Similarity with the witness in [0, 1], (n,); 0 for what is kept."""


def wording(left: str, right: str) -> float:
    """Edit similarity in [0, 1] of folded texts: 2 * common subsequence / both lengths.

    The measure of the paper's code (`fuzz.ratio`), exact where that one may be approximate.
    """
    return fuzz.ratio(fold_text(left), fold_text(right)) / 100.0


def deduplicate_texts(
    texts: Sequence[str],
    *,
    threshold: float,
    workers: int = -1,
    progress: Callable[[int], object] | None = None,
) -> FuzzyDuplicates:
    """Keeps, in order, every text to which no earlier kept one is similar.

    Args:
        texts: in the order that decides who stays.
        threshold: similarity in (0, 1] from which two texts are duplicates.
        workers: threads; -1: one a core.
        progress: called with the number of texts that are done.

    Returns:
        Exactly what comparing each text with all earlier kept ones gives.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"a threshold lies above 0 and at most at 1, not at {threshold}")
    folded = [fold_text(text) for text in texts]
    witness = np.full(len(folded), -1, dtype=np.int64)
    score = np.zeros(len(folded), dtype=np.float32)
    kept = _Kept(threshold, workers)
    for start in range(0, len(folded), _BLOCK):
        block = range(start, min(start + _BLOCK, len(folded)))
        keys = _keys([folded[i] for i in block])
        left = []
        for i, own in zip(block, keys, strict=True):
            found = kept.likely(folded[i], own)
            if found is None:
                left.append((i, own))
            else:
                witness[i], score[i] = found
        missed = kept.search_all([folded[i] for i, _ in left])
        left = [
            pair
            for pair, found in zip(left, missed, strict=True)
            if _note(pair[0], found, witness, score)
        ]
        _settle(left, folded, kept, witness, score)
        if progress:
            progress(block.stop)
    return FuzzyDuplicates(np.flatnonzero(witness < 0), witness, score)


def _note(
    i: int,
    found: tuple[int, float] | None,
    witness: NDArray[np.int64],
    score: NDArray[np.float32],
) -> bool:
    """Writes down what was found; whether nothing was."""
    if found is None:
        return True
    witness[i], score[i] = found
    return False


def _settle(
    left: list[tuple[int, NDArray[np.uint32]]],
    folded: list[str],
    kept: _Kept,
    witness: NDArray[np.int64],
    score: NDArray[np.float32],
) -> None:
    """Decides, in order, among texts of one block that are near nothing earlier."""
    if not left:
        return
    texts = [folded[i] for i, _ in left]
    near = process.cdist(
        texts,
        texts,
        scorer=fuzz.ratio,
        score_cutoff=kept.cutoff,
        dtype=np.float32,
        workers=kept.workers,
    )
    stays = np.zeros(len(left), dtype=bool)
    for at, (i, own) in enumerate(left):
        earlier = np.where(stays[:at], near[at, :at], 0.0)
        best = int(earlier.argmax()) if at else 0
        if at and earlier[best] > 0:
            witness[i], score[i] = left[best][0], earlier[best] / 100.0
        else:
            stays[at] = True
            kept.add(i, folded[i], own)


class _Kept:
    """The kept texts, found by shared keys and, for certainty, by length."""

    def __init__(self, threshold: float, workers: int) -> None:
        self.cutoff = threshold * 100.0
        self.workers = workers
        # 2 * common / (a + b) >= t, and common is at most the shorter length.
        self._least_ratio = threshold / (2.0 - threshold)
        self._buckets: list[dict[int, list[int]]] = [{} for _ in range(_KEYS)]
        self._by_length: dict[int, list[tuple[int, str]]] = {}
        self._texts: dict[int, str] = {}

    def add(self, position: int, text: str, keys: NDArray[np.uint32]) -> None:
        self._texts[position] = text
        self._by_length.setdefault(len(text), []).append((position, text))
        for bucket, key in zip(self._buckets, keys.tolist(), strict=True):
            members = bucket.setdefault(key, [])
            if len(members) < _BUCKET:
                members.append(position)

    def likely(self, text: str, keys: NDArray[np.uint32]) -> tuple[int, float] | None:
        """The best of the few kept texts that share most keys, if it is near enough."""
        pairs = zip(self._buckets, keys.tolist(), strict=True)
        shared = [members for bucket, key in pairs if (members := bucket.get(key))]
        found = self._best(text, [members for members in shared if len(members) <= _RARE])
        return found or self._best(text, shared)

    def _best(self, text: str, shared: list[list[int]]) -> tuple[int, float] | None:
        counts = Counter(chain.from_iterable(shared))
        best: tuple[int, float] | None = None
        for position, _ in counts.most_common(_TRIED):
            value = fuzz.ratio(text, self._texts[position], score_cutoff=self.cutoff)
            if value >= self.cutoff and (best is None or value / 100.0 > best[1]):
                best = (position, value / 100.0)
        return best

    def search_all(self, texts: Sequence[str]) -> list[tuple[int, float] | None]:
        """For each text the nearest kept one that is near enough, all being looked at."""
        found: list[tuple[int, float] | None] = [None] * len(texts)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        lengths = sorted(self._by_length)
        for start in range(0, len(order), _GROUP):
            group = order[start : start + _GROUP]
            shortest, longest = len(texts[group[0]]), len(texts[group[-1]])
            window = lengths[
                bisect_left(lengths, shortest * self._least_ratio) : bisect_right(
                    lengths, longest / self._least_ratio
                )
            ]
            choices = [member for length in window for member in self._by_length[length]]
            if not choices:
                continue
            scores = process.cdist(
                [texts[i] for i in group],
                [text for _, text in choices],
                scorer=fuzz.ratio,
                score_cutoff=self.cutoff,
                dtype=np.float32,
                workers=self.workers,
            )
            for row, best in enumerate(scores.argmax(axis=1).tolist()):
                if scores[row, best] > 0:
                    found[group[row]] = (choices[best][0], float(scores[row, best]) / 100.0)
        return found


def _keys(texts: Sequence[str]) -> NDArray[np.uint32]:
    """MinHash of character 8-grams, (len(texts), _KEYS)."""
    parts = [text.encode() + b"\0" * _GRAM for text in texts]
    data = np.frombuffer(b"".join(parts), dtype=np.uint8)
    n = len(data) - _GRAM + 1
    grams = np.zeros(n, dtype=np.uint32)
    # Grams that reach over the end of a text belong to none.
    ends = np.zeros(n, dtype=bool)
    for at in range(_GRAM):
        letters = data[at : n + at]
        grams = grams * _MIX ^ letters
        ends |= letters == 0
    starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
    result = np.empty((len(texts), _KEYS), dtype=np.uint32)
    random = np.random.default_rng(0)
    for column in range(_KEYS):
        factor = np.uint32(random.integers(0, 2**31) * 2 + 1)
        offset = np.uint32(random.integers(0, 2**32))
        mixed = grams * factor + offset
        mixed ^= mixed >> np.uint32(15)
        mixed *= np.uint32(0x2C1B3C6D)
        mixed[ends] = _MAX_KEY
        result[:, column] = np.minimum.reduceat(mixed, starts)
    return result
