"""The labelled pairs and answers that judges are measured against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from guidealign.errors import BadInputError

LABELS_FOLDER = Path(__file__).resolve().parents[2] / "starter" / "judging"
LABELS = ("harmful", "harmless", "refusal")
_T = TypeVar("_T", "LabelledPair", "LabelledAnswer")


@dataclass(frozen=True, kw_only=True)
class LabelledPair:
    """Two answers, the better one known, and why it is."""

    id: str
    category: str
    kind: str
    prompt: str
    better: str
    worse: str
    why: str


@dataclass(frozen=True, kw_only=True)
class LabelledAnswer:
    """One answer that is harmful, harmless or a refusal."""

    id: str
    label: str
    prompt: str
    answer: str


def load_pairs(folder: Path | None = None, limit: int | None = None) -> list[LabelledPair]:
    """The pairs, or an even part of them by kind.

    Raises:
        BadInputError: the file is missing or malformed.
    """
    file = (folder or LABELS_FOLDER) / "pairs.yaml"
    pairs = _read(file, "pairs", LabelledPair)
    return _even(pairs, [pair.kind for pair in pairs], limit)


def load_answers(folder: Path | None = None, limit: int | None = None) -> list[LabelledAnswer]:
    """The answers, or an even part of them by label.

    Raises:
        BadInputError: the file is missing or malformed.
    """
    file = (folder or LABELS_FOLDER) / "answers.yaml"
    answers = _read(file, "answers", LabelledAnswer)
    strange = next((answer for answer in answers if answer.label not in LABELS), None)
    if strange is not None:
        raise BadInputError(
            f"{file}: {strange.id} is labelled {strange.label!r}, not one of {', '.join(LABELS)}"
        )
    return _even(answers, [answer.label for answer in answers], limit)


def _read(file: Path, name: str, kind: type[_T]) -> list[_T]:
    try:
        rows: list[dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))[name]
        read = [kind(**{key: str(value).strip() for key, value in row.items()}) for row in rows]
    except OSError as error:
        raise BadInputError(f"{file} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        detail = " ".join(str(error).split())
        raise BadInputError(f"{file} is no file of labelled {name}: {detail}") from error
    twice = [key for key, n in Counter(one.id for one in read).items() if n > 1]
    if twice or not read:
        raise BadInputError(f"{file}: " + (f"{twice[0]} stands twice" if twice else "is empty"))
    return read


def _even(rows: list[_T], groups: Sequence[str], limit: int | None) -> list[_T]:
    if limit is None:
        return rows
    seen: Counter[str] = Counter()
    turns = []
    for i, group in enumerate(groups):
        turns.append((seen[group], group, i))
        seen[group] += 1
    return [rows[i] for i in sorted(i for _, _, i in sorted(turns)[:limit])]
