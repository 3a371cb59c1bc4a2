"""Draws the examples of a prompt: two inputs of people, and two synthetic ones."""

from __future__ import annotations

import random
from dataclasses import dataclass

from sqlalchemy import Connection

from guidealign.authoring._starter import read_starter_file
from guidealign.authoring.augmentation import _store as store
from guidealign.authoring.augmentation._store import PromptExample

_N_EXAMPLES = 4
_N_GROWN = 2


@dataclass
class Pool:
    """The inputs of one category, from which examples are drawn."""

    seeds: list[PromptExample]
    grown: list[PromptExample]

    def draw(self, key: str) -> list[PromptExample]:
        """Draws the examples of one prompt, seeds first; the same for the same key and pool.

        Until two inputs have been grown, all are seeds; where seeds are few, more are grown ones.
        """
        draw = random.Random(key)  # noqa: S311 - it guards nothing
        n_grown = _N_GROWN if len(self.grown) >= _N_GROWN else 0
        seeds = draw.sample(self.seeds, min(_N_EXAMPLES - n_grown, len(self.seeds)))
        n_grown = min(_N_EXAMPLES - len(seeds), len(self.grown)) if n_grown else 0
        return [*seeds, *draw.sample(self.grown, n_grown)]


def read_pool(connection: Connection, category: str, *, most_chars: int) -> Pool:
    """Reads the category's inputs; where it has none, those that ship with guidealign."""
    seeds = store.seeds(connection, category, most_chars=most_chars)
    return Pool(seeds or _starter_seeds(category), store.grown(connection, category))


def _starter_seeds(category: str) -> list[PromptExample]:
    content = read_starter_file("library", category)
    return [PromptExample(None, item["text"]) for item in content["inputs"]]
