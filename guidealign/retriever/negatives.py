"""What an input is told apart from: hard negatives, and guidelines that are no negatives at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from guidealign.guidance import Encoder
from guidealign.retriever.model import GuidelineSet, LabelledInput
from guidealign.retriever.pairs import hold_out_dev
from guidealign.settings import RetrieverSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_POOL = 8
"""Hard negatives that are mined for an input; each epoch draws among them."""
_SAME = 0.9
"""Cosine from which two guidelines say the same, by the encoder that mines."""
_ROWS = 1_024


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What a training learns from and stops by."""

    inputs: Sequence[LabelledInput]
    guidelines: Mapping[int, str]
    """Texts as the encoder reads them, by id."""
    dev: Sequence[LabelledInput] = ()
    negatives: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Guidelines near an input that are wrong for it, nearest first, by the input's id."""
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
    miner: Encoder,
    settings: RetrieverSettings,
) -> TrainingData:
    """Holds out what to stop by, and has the miner look for what is near and wrong.

    Args:
        train: inputs that are no tests.
        guidelines: of the library version.
        miner: the champion, or the untrained base where there is none.
        settings: how many negatives, and how far below the positives.
    """
    inputs, dev = hold_out_dev(train, share=settings.dev_share, seed=settings.seed)
    ids = sorted(guidelines.texts)
    documents = miner.encode([guidelines.texts[i] for i in ids], side="guideline")
    used = {guideline for item in inputs for guideline in item.guideline_ids}
    data = TrainingData(
        inputs=inputs,
        guidelines=guidelines.texts,
        dev=dev,
        equivalents=find_equivalents(documents, ids, used),
    )
    if not settings.hard_negatives:
        return data
    queries = miner.encode([item.text for item in inputs], side="input")
    negatives = mine_negatives(data, queries, documents, ids, margin=settings.negative_margin)
    return TrainingData(**(vars(data) | {"negatives": negatives}))


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
    for part in _parts(rows):
        scores = documents[part] @ documents.T
        for row, line in zip(part, scores, strict=True):
            same = {ids[column] for column in (line >= _SAME).nonzero()[0]} - {ids[row]}
            if same:
                found[ids[row]] = frozenset(same)
    return found


def mine_negatives(
    data: TrainingData,
    queries: NDArray[np.float32],
    documents: NDArray[np.float32],
    ids: Sequence[int],
    *,
    margin: float,
) -> dict[int, tuple[int, ...]]:
    """The nearest guidelines of each input that are wrong for it, at most 8, nearest first.

    Wrong is what neither the input nor a near copy of it has, says nothing that theirs say, and
    scores at most `margin` times the mean of the input's own: what scores higher is likely
    right, and only nobody has written it down.

    Args:
        data: inputs in the order of the queries, and which guidelines say the same.
        queries: L2-normalised, (inputs, dimensions).
        documents: L2-normalised, (guidelines, dimensions).
        ids: of the guidelines, in the order of the rows.
        margin: share of the positives' score.
    """
    column_of = {guideline: column for column, guideline in enumerate(ids)}
    right: dict[int, set[int]] = defaultdict(set)
    for item in data.inputs:
        right[item.cluster] |= data.right_for(item)
    found = {}
    for part in _parts(range(len(data.inputs))):
        scores = queries[part] @ documents.T
        for row, line in zip(part, scores, strict=True):
            item = data.inputs[row]
            own = [column_of[i] for i in item.guideline_ids if i in column_of]
            if not own:
                continue
            most = margin * float(line[own].mean())
            line[[column_of[i] for i in right[item.cluster] if i in column_of]] = -2.0
            line[line > most] = -2.0
            nearest = [column for column in line.argsort()[::-1][:_POOL] if line[column] > -2.0]
            found[item.input_id] = tuple(ids[column] for column in nearest)
    return found


def _parts(rows: Sequence[int]) -> Iterator[list[int]]:
    """So that no more than so many rows of scores are held at a time."""
    for start in range(0, len(rows), _ROWS):
        yield list(rows[start : start + _ROWS])
