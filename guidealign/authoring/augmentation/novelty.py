"""An index of kept texts that finds whether a new one is too similar, without comparing all pairs.

Two texts over the threshold have at least c words in common, so they also share two of the few
words that remain when the c - 2 most frequent ones are left out of either (prefix filtering,
Chaudhuri et al. 2006; Bayardo et al. 2007). Only those few words of each text are indexed and
looked up. What survives is measured in full: the answer is that of comparing with every text.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import LCSseq

from guidealign.authoring.augmentation.rouge import least_common_with_any, rouge_l, rouge_words

_SHARED = 2
"""Rare words that two like texts must share; more cost more to count than they spare."""
_OCCURRENCE = 1 << 40
"""A word's second occurrence is another word: shared words are then shared set members."""
_FIRST_REORDER = 64


class NoveltyIndex:
    """Holds kept texts, and tells whether another one is too similar to any of them.

    Args:
        threshold: the highest ROUGE-L F1 that two of them may have, in (0, 1).
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._ids: dict[str, int] = {}
        self._texts: list[list[int]] = []
        self._by_word: dict[int, list[int]] = defaultdict(list)
        self._frequency: Counter[int] = Counter()
        self._order: dict[int, int] = {}
        self._reorder_at = _FIRST_REORDER

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, text: str) -> None:
        """Keeps a text, whatever it is like."""
        ids = self._encode(text)
        self._frequency.update(_members(ids))
        self._texts.append(ids)
        self._index(len(self._texts) - 1)
        if len(self._texts) >= self._reorder_at:
            self._reorder()

    def is_new(self, text: str) -> bool:
        """Whether ROUGE-L F1 with every kept text is at most the threshold."""
        ids = self._encode(text)
        others = [self._texts[place] for place in self._candidates(ids)]
        if not others:
            return True
        least = least_common_with_any(len(ids), self._threshold)
        common = process.cdist(
            [ids], others, scorer=LCSseq.similarity, score_cutoff=least, dtype=np.int32
        )[0]  # (n_others,); 0 where fewer than `least`
        return not any(
            rouge_l(int(common[at]), len(ids), len(others[at])) > self._threshold
            for at in np.flatnonzero(common)
        )

    def add_new(self, texts: Iterable[str]) -> list[bool]:
        """Keeps each text that is new beside all before it; says which."""
        kept = []
        for text in texts:
            new = self.is_new(text)
            if new:
                self.add(text)
            kept.append(new)
        return kept

    def _encode(self, text: str) -> list[int]:
        ids = self._ids
        return [ids.setdefault(word, len(ids)) for word in rouge_words(text)]

    def _candidates(self, ids: Sequence[int]) -> list[int]:
        """Returns the places of the texts that share enough rare words."""
        if not ids:
            return []
        shared = min(_SHARED, least_common_with_any(len(ids), self._threshold))
        lists = [self._by_word[word] for word in self._rare(ids) if word in self._by_word]
        counts = Counter(chain.from_iterable(lists))
        return [place for place, n_shared in counts.items() if n_shared >= shared]

    def _rare(self, ids: Sequence[int]) -> list[int]:
        """Returns the words by which a text is indexed and looked up, rarest first."""
        least = least_common_with_any(len(ids), self._threshold)
        # Any one order of all words will do; words that it does not know yet are the rarest.
        order = self._order
        ranked = sorted(_members(ids), key=lambda word: (order.get(word, 0), word))
        return ranked[: len(ids) - least + min(_SHARED, least)]

    def _index(self, place: int) -> None:
        ids = self._texts[place]
        for word in self._rare(ids) if ids else ():
            self._by_word[word].append(place)

    def _reorder(self) -> None:
        """Takes over the frequencies of now; done each time the texts have doubled."""
        self._order = dict(self._frequency)
        self._by_word.clear()
        for place in range(len(self._texts)):
            self._index(place)
        self._reorder_at = 2 * len(self._texts)


def _members(ids: Sequence[int]) -> list[int]:
    """Returns the words as members of a set, in which each occurrence of a word is one."""
    if len(set(ids)) == len(ids):
        return list(ids)
    seen: Counter[int] = Counter()
    members = []
    for word in ids:
        members.append(word + seen[word] * _OCCURRENCE)
        seen[word] += 1
    return members
