"""Labelled pairs of guidelines, measured as curation measures them, and rules that judge them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator

from benchmarks._harness.report import ROOT
from guidealign.library import embed_texts, wording
from guidealign.library._polarity import differ_in_sign
from guidealign.records import CATEGORIES

FILE = ROOT / "benchmarks" / "data" / "guideline_pairs.yaml"
Label = Literal["duplicate", "related", "different", "opposite"]
Rule = Callable[["Measured"], bool]


class Pair(BaseModel):
    """Two guidelines, and what curation should make of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    label: Label
    category: str
    left_title: str = Field(min_length=3, max_length=90)
    left: str = Field(min_length=60, max_length=250)
    right_title: str = Field(min_length=3, max_length=90)
    right: str = Field(min_length=60, max_length=250)

    @field_validator("category")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in CATEGORIES:
            raise ValueError(f"there is no category {value!r}")
        return value

    @property
    def chooses(self) -> bool:
        """Whether thresholds are chosen by this pair; pairs with one left side stay together."""
        return hashlib.sha256(self.left.encode()).digest()[0] % 2 == 0


class _PairsFile(BaseModel):
    model_config = ConfigDict(extra="forbid")
    authors: str
    license: str
    pairs: list[Pair]


@dataclass(frozen=True)
class Measured:
    """A pair with what curation knows about it."""

    pair: Pair
    cosine: float
    wording: float
    turned: bool
    """A word of one stands under the opposite sign in the other: never merged."""


@dataclass(frozen=True)
class Counts:
    """What a rule makes of labelled pairs."""

    hits: int
    """Duplicates that are found."""
    duplicates: int
    wrong: int
    """Others that are taken for duplicates."""
    wrong_opposites: int
    """Of these, opposites: the worst error."""

    @property
    def precision(self) -> float:
        found = self.hits + self.wrong
        return self.hits / found if found else 1.0

    @property
    def recall(self) -> float:
        return self.hits / self.duplicates if self.duplicates else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.hits / (self.hits + self.wrong + self.duplicates)


def read_pairs(file: Path = FILE) -> list[Pair]:
    return _PairsFile.model_validate(yaml.safe_load(file.read_text(encoding="utf-8"))).pairs


def measure(pairs: Sequence[Pair], encoder: str) -> list[Measured]:
    """Cosine of title and text, as publishing embeds them, and the wording of the texts."""
    left = embed_texts([f"{pair.left_title}: {pair.left}" for pair in pairs], encoder)
    right = embed_texts([f"{pair.right_title}: {pair.right}" for pair in pairs], encoder)
    cosines = (left * right).sum(axis=1)  # (pairs,)
    return [
        Measured(
            pair,
            float(cosine),
            wording(pair.left, pair.right),
            differ_in_sign(pair.left, pair.right),
        )
        for pair, cosine in zip(pairs, cosines, strict=True)
    ]


def at_least(cosine: float, wording: float = 0.0, *, signs: bool = True) -> Rule:
    """Both numbers reached and, unless `signs` is off, no word turned: curation's own rule."""

    def rule(m: Measured) -> bool:
        return m.cosine >= cosine and m.wording >= wording and not (signs and m.turned)

    return rule


def count(rule: Rule, measured: Iterable[Measured]) -> Counts:
    """Counts what a rule takes for duplicates."""
    hits = duplicates = wrong = opposites = 0
    for m in measured:
        is_duplicate, found = m.pair.label == "duplicate", rule(m)
        duplicates += is_duplicate
        hits += found and is_duplicate
        wrong += found and not is_duplicate
        opposites += found and m.pair.label == "opposite"
    return Counts(hits, duplicates, wrong, opposites)
