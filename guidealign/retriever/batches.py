"""What a training step sees: inputs with a guideline each, negatives, and texts as laid out."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from guidealign.retriever.model import Prefixes
from guidealign.retriever.negatives import TrainingData


@dataclass(frozen=True)
class TrainingPair:
    """One input with one of its guidelines, and what it is told apart from."""

    text: str
    guideline_id: int
    known: frozenset[int]
    """All guidelines that are right for it."""
    hard: tuple[int, ...] = ()
    """Guidelines that are near and wrong."""


def draw_pairs(
    data: TrainingData, rng: random.Random, *, hard_negatives: int = 0
) -> list[TrainingPair]:
    """Each input once, with one of its guidelines and some hard negatives drawn, in a drawn order.

    Over the epochs an input meets its other guidelines too; within a batch it stands once, so
    that fewer columns are wasted on false negatives.
    """
    pairs = []
    for item in data.inputs:
        pool = data.negatives.get(item.input_id, ())
        pairs.append(
            TrainingPair(
                item.text,
                rng.choice(item.guideline_ids),
                data.right_for(item),
                tuple(rng.sample(pool, min(hard_negatives, len(pool)))),
            )
        )
    rng.shuffle(pairs)
    return pairs


def columns_of(batch: Sequence[TrainingPair]) -> list[int]:
    """The guidelines of a batch: row by row the positive, then every hard negative once."""
    positives = [pair.guideline_id for pair in batch]
    hard = dict.fromkeys(guideline for pair in batch for guideline in pair.hard)
    return positives + [guideline for guideline in hard if guideline not in set(positives)]


def false_negatives(batch: Sequence[TrainingPair]) -> list[list[bool]]:
    """Which of a batch's guidelines are no negatives of a row's input, (batch, columns).

    Another guideline of the same input, or the same guideline in another row, is right too;
    the row's own positive stays.
    """
    columns = columns_of(batch)
    return [
        [row != column and guideline in pair.known for column, guideline in enumerate(columns)]
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
    right = prefixes.put([guidelines[guideline] for guideline in columns_of(batch)], "guideline")
    texts = sorted(dict.fromkeys(left + right), key=len)
    place = {text: row for row, text in enumerate(texts)}
    return Layout(texts, [place[text] for text in left], [place[text] for text in right])
