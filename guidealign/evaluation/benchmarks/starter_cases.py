"""The starter benchmark: held-out preference cases that ship with guidealign."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import yaml

from guidealign.errors import BadInputError
from guidealign.evaluation._even_choice import even_choice

STARTER_FOLDER = Path(__file__).resolve().parents[2] / "starter" / "benchmark"


@dataclass(frozen=True)
class PreferenceCase:
    """A prompt with a better and a worse answer."""

    case_id: str
    category: str
    kind: Literal["harm", "over_refusal", "quality"]
    prompt: str
    better: str
    worse: str


def load_cases(
    folder: Path = STARTER_FOLDER, *, at_most: int | None = None
) -> list[PreferenceCase]:
    """Reads all cases, or an even choice over kinds and categories, always the same.

    Raises:
        BadInputError: a file is no benchmark, or an id stands twice.
    """
    cases = [case for file in sorted(folder.glob("*.yaml")) for case in _read(file)]
    refuse_twice([case.case_id for case in cases], folder)
    if not cases:
        raise BadInputError(f"{folder} holds no benchmark cases")
    if at_most is None:
        return cases
    ordered = sorted(cases, key=lambda case: case.case_id)
    return even_choice(ordered, at_most, by=lambda case: (case.kind, case.category))


def refuse_twice(ids: Iterable[str], folder: Path) -> None:
    """Refuses cases of which two have one id.

    Raises:
        BadInputError: names the first such id.
    """
    twice = sorted(case_id for case_id, n in Counter(ids).items() if n > 1)
    if twice:
        raise BadInputError(f"{folder}: case {twice[0]} stands twice")


def cases_digest(cases: list[PreferenceCase]) -> str:
    """SHA-256 over the cases' content."""
    content = json.dumps([asdict(case) for case in cases], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _read(file: Path) -> list[PreferenceCase]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        return [
            PreferenceCase(
                case_id=case["id"],
                category=content["category"],
                kind=case["kind"],
                prompt=case["prompt"].strip(),
                better=case["better"].strip(),
                worse=case["worse"].strip(),
            )
            for case in content["cases"]
        ]
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise BadInputError(f"{file} is not a benchmark file: {error}") from error
