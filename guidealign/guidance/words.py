"""Puts guidelines in front of a conversation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

Message = Mapping[str, str]


class Worded(Protocol):
    """A guideline, as far as a prompt shows it."""

    @property
    def title(self) -> str:
        """A few words."""

    @property
    def text(self) -> str:
        """What is to be done."""


_PREAMBLE = (
    "You are a helpful assistant. The guidelines below were chosen for the request that"
    " follows. Answer the request directly and keep to every guideline that fits it. Pass over"
    " those that do not fit, and do not mention the guidelines in your answer."
)


def compose(request: str | Sequence[Message], guidelines: Sequence[Worded]) -> list[dict[str, str]]:
    """The messages to send: guidelines as a numbered system message, then the request.

    A conversation's own system messages keep their words and stand behind the guidelines in
    one message, because many chat templates allow only a single one, at the start. Without
    guidelines the request goes out as it came. Stage 2 of Guide-Align (arXiv 2403.11838).

    Args:
        request: the user's text, or a conversation.
        guidelines: in the order in which they are numbered.
    """
    conversation = _as_messages(request)
    if not guidelines:
        return conversation
    own = [m["content"] for m in conversation if m["role"] == "system"]
    rest = [m for m in conversation if m["role"] != "system"]
    system = "\n\n".join([guideline_prompt(guidelines), *own])
    return [{"role": "system", "content": system}, *rest]


def guideline_prompt(guidelines: Sequence[Worded]) -> str:
    """The words that go in front of a request: what guidelines are for, then numbered."""
    return f"{_PREAMBLE}\n\n{numbered(f'{g.title}: {g.text}' for g in guidelines)}"


def _as_messages(request: str | Sequence[Message]) -> list[dict[str, str]]:
    if isinstance(request, str):
        return [{"role": "user", "content": request}]
    return [dict(message) for message in request]


def numbered(lines: Iterable[str]) -> str:
    """One line each: a line break inside a guideline could pass for another guideline."""
    return "\n".join(f"{i}. {' '.join(line.split())}" for i, line in enumerate(lines, start=1))
