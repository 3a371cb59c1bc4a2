"""Draws training pairs, marks false negatives, and lays a batch's texts out for the encoder."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from guidealign.retriever.model import Prefixes
from guidealign.retriever.training_data import TrainingData


@dataclass(frozen=True)
class TrainingPair:
    """One input with one of its guidelines."""

    text: str
    guideline_id: int
    known: frozenset[int]
    """All guidelines that are right for it."""


def draw_pairs(data: TrainingData, rng: random.Random) -> list[TrainingPair]:
    """Each input once, with one of its guidelines drawn, in a drawn order.

    Over the epochs an input meets its other guidelines too; within a batch it stands once, so
    that fewer columns are wasted on false negatives.
    """
    pairs = [
        TrainingPair(item.text, rng.choice(item.guideline_ids), data.right_for(item))
        for item in data.inputs
    ]
    rng.shuffle(pairs)
    return pairs


def false_negatives(batch: Sequence[TrainingPair]) -> list[list[bool]]:
    """Which of a batch's guidelines are no negatives of a row's input, (batch, batch).

    Another guideline of the same input, or the same guideline in another row, is right too;
    the row's own positive stays.
    """
    return [
        [row != column and other.guideline_id in pair.known for column, other in enumerate(batch)]
        for row, pair in enumerate(batch)
    ]


@dataclass(frozen=True)
class Layout:
    """A batch's texts, each once and by length, and where each side's vectors are among them."""

    texts: list[str]
    inputs: list[int]
    guidelines: list[int]


def lay_out(
    batch: Sequence[TrainingPair], guidelines: Mapping[int, str], prefixes: Prefixes
) -> Layout:
    """What is to be embedded for a batch: a guideline of several rows only once."""
    left = prefixes.put([pair.text for pair in batch], "input")
    right = prefixes.put([guidelines[pair.guideline_id] for pair in batch], "guideline")
    texts = sorted(dict.fromkeys(left + right), key=len)
    place = {text: row for row, text in enumerate(texts)}
    return Layout(texts, [place[text] for text in left], [place[text] for text in right])
