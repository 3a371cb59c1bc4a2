"""Whether an answer of the gateway is right: what the model was given is what the headers say."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from benchmarks._harness.stub import checksum, read_echo
from benchmarks.gateway.answers import Answer

_SAME_SCORE = 1e-3
"""Headers have four places; a batch's company changes the fifth."""
_MOST_EXAMPLES = 20


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request and what is known beforehand of its answer."""

    mark: str
    """Goes into `user`; the stub gives it back."""
    text: str
    stream: bool
    revoked: bool
    """Its key must be refused."""
    logged: bool
    """Its key's inputs go to the inbox."""
    at: float
    """In seconds since the epoch."""


@dataclass(kw_only=True)
class Verdict:
    """What was seen in all answers."""

    outcomes: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    logged: int = 0
    """Requests whose input was to be logged."""
    recorded: int = 0
    """Requests that were let in."""
    given: dict[int, set[int]] = field(default_factory=dict)
    """By release: ids of guidelines in its answers' headers."""
    last_given: dict[int, float] = field(default_factory=dict)
    """By guideline: when the last request was begun that got it."""
    last_release: dict[int, float] = field(default_factory=dict)
    """By release: when the last request was begun that it answered."""


class Judge:
    """Looks at every answer as it comes."""

    def __init__(self) -> None:
        self.verdict = Verdict()
        self.categories: dict[int, str] = {}
        """Of every guideline that there was so far."""
        self._scores: dict[tuple[int, str], dict[int, float]] = {}

    def see(self, asked: Asked, answer: Answer | None) -> None:
        """Takes an answer into the verdict."""
        verdict = self.verdict
        outcome, problem = self._outcome(asked, answer)
        verdict.outcomes[outcome] += 1
        if outcome != "401":
            verdict.recorded += 1
            verdict.logged += asked.logged
        if problem is not None:
            verdict.problems[problem] += 1
            if len(verdict.examples) < _MOST_EXAMPLES:
                verdict.examples.append(f"{problem}: {asked.mark} {answer}"[:1_000])

    def _outcome(self, asked: Asked, answer: Answer | None) -> tuple[str, str | None]:
        if answer is None:
            return "lost", "no answer"
        if asked.revoked or answer.status == 401:
            right = asked.revoked == (answer.status == 401)
            return str(answer.status), None if right else "a key was taken for what it is not"
        if answer.status != 200:
            problem = None if _is_error(_json(answer.body)) else "an error in another format"
            return str(answer.status), problem
        self._note(asked, answer.headers)
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            return self._streamed(asked, answer)
        if asked.stream:
            return "200", "no stream"
        content = _content(_json(answer.body))
        return "200", self._wrong(asked, answer, content)

    def _streamed(self, asked: Asked, answer: Answer) -> tuple[str, str | None]:
        """A stream ends whole, or in an error that says so."""
        lines = answer.body.decode(errors="replace").split("\n\n")
        events = [line.removeprefix("data: ") for line in lines if line]
        if not events:
            return "stream", "an empty stream"
        if events[-1] != "[DONE]":
            problem = None if _is_error(_json(events[-1])) else "a stream that ends in the middle"
            return "stream broken off", problem
        parts = [_content(_json(event), key="delta") for event in events[:-1]]
        if None in parts:
            return "stream", "an event in another format"
        return "stream", self._wrong(asked, answer, "".join(part or "" for part in parts))

    def _wrong(self, asked: Asked, answer: Answer, content: str | None) -> str | None:
        """What is wrong with an answer that came whole."""
        if content is None:
            return "an answer in another format"
        echo = read_echo(content)
        if echo is None:
            return "an answer that the upstream did not give"
        if echo["user"] != asked.mark:
            return "another request's answer"
        if echo["said"] != checksum(asked.text):
            return "another question went upstream"
        if echo["guidelines"] != self._announced(answer.headers):
            return "other guidelines than the headers say"
        return None

    def _announced(self, headers: dict[str, str]) -> list[int]:
        """Guidelines that the model was given, as the headers have it."""
        if headers.get("x-guidealign-status") != "injected":
            return []
        withheld = set(filter(None, headers.get("x-guidealign-withheld", "").split(",")))
        return [
            guideline
            for guideline in _guidelines(headers)
            if self.categories[guideline] not in withheld
        ]

    def _note(self, asked: Asked, headers: dict[str, str]) -> None:
        """Keeps what can only be judged at the end, and compares with what was said before."""
        verdict = self.verdict
        verdict.outcomes[f"guidelines {headers.get('x-guidealign-status', 'not named')}"] += 1
        release = int(headers.get("x-guidealign-release", 0))
        given = _guidelines(headers)
        verdict.last_release[release] = max(verdict.last_release.get(release, 0.0), asked.at)
        verdict.given.setdefault(release, set()).update(given)
        for guideline in given:
            last = verdict.last_given.get(guideline, 0.0)
            verdict.last_given[guideline] = max(last, asked.at)
        known = self._scores.setdefault((release, asked.text), {})
        for guideline, score in given.items():
            if abs(known.setdefault(guideline, score) - score) > _SAME_SCORE:
                verdict.problems["another score for the same guideline and question"] += 1


def _guidelines(headers: dict[str, str]) -> dict[int, float]:
    """Scores by id, in the order of the header."""
    named = filter(None, headers.get("x-guidealign-guidelines", "").split(","))
    pairs = (name.split(":") for name in named)
    return {int(guideline): float(score) for guideline, score in pairs}


def _json(body: bytes | str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _is_error(body: Any) -> bool:
    """Whether it is an error as OpenAI's clients read it."""
    error = body.get("error") if isinstance(body, dict) else None
    return (
        isinstance(error, dict)
        and isinstance(error.get("message"), str)
        and isinstance(error.get("type"), str)
        and "code" in error
    )


def _content(answer: Any, key: str = "message") -> str | None:
    """The words of an answer, or of a stream's event; None: it is neither."""
    try:
        content = answer["choices"][0][key].get("content", "")
    except (TypeError, LookupError, AttributeError):
        return None
    return content if isinstance(content, str) else None
