"""What the model said, kept in a file line by line: a measurement goes on where it stopped."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from guidealign.authoring.model import Detection, GuidelineDraft
from guidealign.errors import BadInputError
from guidealign.settings import AuthorSettings

Progress = Callable[[str, int, int], object]
"""Called with a phase, how much of it is done, and how much there is."""


class Outcome(BaseModel):
    """All that came of asking about one input."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    answered: Detection | None = None
    """The model's own words."""
    detection: Detection | None = None
    """What authoring would store: after the tripwire."""
    likelihood: float | None = None
    """That the input is unsafe, where it was screened."""
    category: str | None = None
    drafts: tuple[GuidelineDraft, ...] = ()
    error: str | None = None
    """Why there is no usable answer."""
    n_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_ms: float = 0.0
    """Of all calls, one after the other."""


class AnswerLog:
    """Outcomes by key in a JSONL file.

    Args:
        file: is made when the first outcome is added; a line that was cut off is passed over.

    Raises:
        BadInputError: the file cannot be read.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, Outcome] = {}
        self._whole = True
        try:
            content = file.read_text(encoding="utf-8") if file.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise BadInputError(f"{file} cannot be read as a file of answers: {error}") from error
        for line in content.splitlines():
            try:
                entry = json.loads(line)
                self._known[entry["key"]] = Outcome.model_validate(entry["outcome"])
            except (ValueError, KeyError, TypeError, ValidationError):
                continue
        self._whole = not content or content.endswith("\n")

    def find(self, key: str) -> Outcome | None:
        """The outcome of a key; None: nobody has asked yet."""
        return self._known.get(key)

    def add(self, key: str, outcome: Outcome, about: Mapping[str, Any]) -> None:
        """Keeps an outcome at once; `about` is for people who read the file."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        entry = {"key": key, **about, "outcome": outcome.model_dump(mode="json")}
        with self._file.open("a", encoding="utf-8") as out:
            out.write("" if self._whole else "\n")
            out.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self._whole = True
        self._known[key] = outcome


def answer_key(*parts: str) -> str:
    """Identity of a question: everything that decides its answer."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()[:24]


def threshold_key(author: AuthorSettings) -> str:
    """The part of a question's identity that says how an input is found unsafe."""
    return str(author.verdict_threshold) if author.verdict == "likelihood" else ""


@dataclass(frozen=True)
class Question:
    """What is to be asked, and what the log says of it for people."""

    ask: Callable[[], Awaitable[Outcome]]
    about: Mapping[str, Any]


async def ask_all(
    questions: Mapping[str, Question],
    log: AnswerLog,
    phase: str,
    progress: Progress | None,
) -> None:
    """Asks what is not in the log yet; each outcome is in the file before the next is awaited.

    Raises:
        GuidealignError: the first failure that is none of the model's answer; the rest is
            called off, and what was answered stays.
    """
    missing = [key for key in questions if log.find(key) is None]
    done = len(questions) - len(missing)
    if progress:
        progress(phase, done, len(questions))

    async def one(key: str) -> None:
        nonlocal done
        log.add(key, await questions[key].ask(), questions[key].about)
        done += 1
        if progress:
            progress(phase, done, len(questions))

    tasks = [asyncio.create_task(one(key)) for key in missing]
    if not tasks:
        return
    ended, open_ones = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    for task in open_ones:
        task.cancel()
    await asyncio.gather(*open_ones, return_exceptions=True)
    for task in ended:
        task.result()
