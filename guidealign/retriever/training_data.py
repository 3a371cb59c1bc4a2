"""What a training learns from and stops by, and which guidelines say the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from guidealign.guidance import Encoder
from guidealign.retriever.model import GuidelineSet, LabelledInput
from guidealign.retriever.pairs import hold_out_dev
from guidealign.settings import RetrieverSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SAME = 0.9
"""Cosine from which two guidelines say the same, by the untrained base."""
_ROWS = 1_024
"""Of scores that are held at a time."""


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What a training learns from and stops by."""

    inputs: Sequence[LabelledInput]
    guidelines: Mapping[int, str]
    """Texts as the encoder reads them, by id."""
    dev: Sequence[LabelledInput] = ()
    equivalents: Mapping[int, frozenset[int]] = field(default_factory=dict)
    """Guidelines that say what one says, by its id; one without any is left out."""

    def right_for(self, item: LabelledInput) -> frozenset[int]:
        """Guidelines that are no negatives of an input: its own, and those that say the same."""
        return frozenset(item.guideline_ids).union(
            *(self.equivalents.get(guideline, frozenset()) for guideline in item.guideline_ids)
        )


def assemble_data(
    train: Sequence[LabelledInput],
    guidelines: GuidelineSet,
    base: Encoder,
    settings: RetrieverSettings,
) -> TrainingData:
    """Holds out what to stop by, and finds which guidelines say the same.

    Args:
        train: inputs that are no tests.
        guidelines: of the library version.
        base: the untrained encoder: equal inputs and settings give equal data, whoever is champion.
        settings: the share to stop by, and the seed that draws it.
    """
    inputs, dev = hold_out_dev(train, share=settings.dev_share, seed=settings.seed)
    ids = sorted(guidelines.texts)
    documents = base.encode([guidelines.texts[i] for i in ids], side="guideline")
    used = {guideline for item in inputs for guideline in item.guideline_ids}
    return TrainingData(
        inputs=inputs,
        guidelines=guidelines.texts,
        dev=dev,
        equivalents=find_equivalents(documents, ids, used),
    )


def find_equivalents(
    documents: NDArray[np.float32], ids: Sequence[int], used: set[int]
) -> dict[int, frozenset[int]]:
    """For each used guideline those with a cosine of at least 0.9 to it.

    Args:
        documents: L2-normalised, (guidelines, dimensions).
        ids: of the guidelines, in the order of the rows.
        used: those to look for.
    """
    rows = [row for row, guideline in enumerate(ids) if guideline in used]
    found = {}
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        scores = documents[part] @ documents.T  # (part, guidelines)
        for row, line in zip(part, scores, strict=True):
            same = {ids[column] for column in (line >= _SAME).nonzero()[0]} - {ids[row]}
            if same:
                found[ids[row]] = frozenset(same)
    return found
