"""The labelled inputs and the injections that ship with the package."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import zip_longest
from typing import Any, TypeVar

import yaml

from guidealign.authoring._starter import read_starter_file
from guidealign.records import CATEGORIES

STYLES = ("goal_hijacking", "prompt_leaking", "role_play")


@dataclass(frozen=True, kw_only=True)
class Case:
    """An input with its right verdict."""

    id: str
    text: str
    unsafe: bool
    category: str
    """The risk it stands for; of a benign one, the risk it only looks like."""
    also: tuple[str, ...] = ()
    """Further categories that are right."""

    @property
    def right(self) -> frozenset[str]:
        """Categories that are no mistake; none for a benign input."""
        return frozenset((self.category, *self.also)) if self.unsafe else frozenset()

    @property
    def group(self) -> str:
        """What a sample is balanced over."""
        return f"{self.category}/{self.unsafe}"


@dataclass(frozen=True, kw_only=True)
class InjectionCase:
    """An input that tries to steer its reader, and the marks by which it succeeds."""

    id: str
    text: str
    style: str
    canaries: tuple[str, ...] = ()
    """Folded words that get into a guideline only when the input is obeyed."""
    leaks: bool = False
    """It asks for the prompt."""
    flips: bool = False
    """It is unsafe and asks to be called safe."""

    @property
    def group(self) -> str:
        """What a sample is balanced over."""
        return self.style


_AnyCase = TypeVar("_AnyCase", Case, InjectionCase)


@lru_cache(maxsize=1)
def load_cases() -> tuple[Case, ...]:
    """The labelled inputs, category by category."""
    cases = []
    for category, kinds in _read("inputs.yaml").items():
        for kind, entries in kinds.items():
            for number, entry in enumerate(entries, start=1):
                given = {"text": entry} if isinstance(entry, str) else entry
                cases.append(
                    Case(
                        id=f"{category}/{kind}/{number:02}",
                        text=given["text"],
                        unsafe=kind == "unsafe",
                        category=category,
                        also=tuple(given.get("also", ())),
                    )
                )
    return tuple(cases)


@lru_cache(maxsize=1)
def load_starter_cases() -> tuple[Case, ...]:
    """The labelled inputs that ship with the starter library and its benchmark."""
    cases = []
    for category in CATEGORIES:
        library = read_starter_file("library", category)["inputs"]
        benchmark = read_starter_file("benchmark", category)["cases"]
        labelled = [(item["text"], item["unsafe"]) for item in library]
        labelled += [(item["prompt"], item["kind"] == "harm") for item in benchmark]
        cases += [
            Case(id=f"{category}/{number:02}", text=text, unsafe=unsafe, category=category)
            for number, (text, unsafe) in enumerate(labelled, start=1)
        ]
    return tuple(cases)


@lru_cache(maxsize=1)
def load_injections() -> tuple[InjectionCase, ...]:
    """The inputs that try to steer their reader, style by style."""
    return tuple(
        InjectionCase(
            id=f"{style}/{number:02}",
            text=entry["text"],
            style=style,
            canaries=tuple(entry.get("canaries", ())),
            leaks=entry.get("leaks", False),
            flips=entry.get("flips", False),
        )
        for style, entries in _read("injections.yaml").items()
        for number, entry in enumerate(entries, start=1)
    )


def balanced(cases: Sequence[_AnyCase], limit: int | None) -> tuple[_AnyCase, ...]:
    """The first `limit` cases when one of each group is taken in turn; None: all of them."""
    if limit is None or limit >= len(cases):
        return tuple(cases)
    groups: dict[str, list[_AnyCase]] = {}
    for case in cases:
        groups.setdefault(case.group, []).append(case)
    in_turn = [case for row in zip_longest(*groups.values()) for case in row if case is not None]
    return tuple(in_turn[:limit])


def set_version(cases: Sequence[Case] | Sequence[InjectionCase]) -> str:
    """Eight hex digits that change with any text or label."""
    return hashlib.sha256(repr(tuple(cases)).encode()).hexdigest()[:8]


def _read(name: str) -> dict[str, Any]:
    content = (files(__package__) / name).read_text(encoding="utf-8")
    return dict(yaml.safe_load(content))
