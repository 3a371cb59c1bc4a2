"""Prompts as versioned files: a stable prefix first, the input last, as data."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from guidealign.llm import Message

SAFETY_PROMPT = "safety"
QUALITY_PROMPT = "quality"
_TURN = re.compile(r"^=== (\w+)\n", re.MULTILINE)
_CONTROL_FORMS = re.compile(
    r"<\||\|>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</?input-", re.IGNORECASE
)
"""What chat templates and our own marks use to tell turns apart."""


@dataclass(frozen=True)
class Prompt:
    """A prompt file: its fixed turns, its named templates and its version."""

    version: str
    """Name and the first 8 hex digits of the file's SHA-256."""
    turns: tuple[tuple[str, str], ...]
    templates: dict[str, str]

    def prefix(self, n_guidelines: int) -> list[Message]:
        """The turns before the input: the same for all inputs, so servers can cache them."""
        number = str(n_guidelines)
        ask = self.templates.get("ask", "").replace("{n}", number)
        fill = {"ask": ask, "check": self.templates.get("check", ""), "n": number}
        return [{"role": role, "content": _fill(text, fill)} for role, text in self.turns]

    def input_turn(self, text: str, nonce: str) -> Message:
        """The untrusted text between marks that it cannot know."""
        fill = {"nonce": nonce, "input": as_data(text), "check": self.templates.get("check", "")}
        return {"role": "user", "content": _fill(self.templates["input"], fill)}

    def examples(self) -> tuple[str, ...]:
        """What the assistant says in the fixed turns."""
        return tuple(text for role, text in self.turns if role == "assistant")

    def ask_turn(self, n_guidelines: int) -> Message:
        """The question that follows on the detection."""
        fill = {"n": str(n_guidelines)}
        return {"role": "user", "content": _fill(self.templates["ask"], fill)}


def new_nonce() -> str:
    """A mark that no input can guess."""
    return secrets.token_hex(4)


def as_data(text: str) -> str:
    """Untrusted text without the forms that a chat template reads as the end of a turn.

    Servers tokenise the rendered conversation as a whole, so a `<|im_end|>` inside a message
    would end it.
    """
    return _CONTROL_FORMS.sub(lambda form: " ".join(form[0]), text)


@lru_cache(maxsize=8)
def load_prompt(name: str) -> Prompt:
    """The prompt of a name in this package's folder `prompts`."""
    content = (files(__package__) / "prompts" / f"{name}.md").read_text(encoding="utf-8")
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    turns, templates = [], {}
    for kind, text in _sections(content):
        if kind in {"system", "user", "assistant"}:
            turns.append((kind, text))
        else:
            templates[kind] = text
    return Prompt(version=f"{name}-{digest}", turns=tuple(turns), templates=templates)


def _sections(content: str) -> Iterator[tuple[str, str]]:
    parts = _TURN.split(content)[1:]
    for kind, text in zip(parts[::2], parts[1::2], strict=True):
        yield kind, text.strip()


def _fill(template: str, values: dict[str, str]) -> str:
    """Puts values in one pass, so that a value's own braces are never read as a name."""
    names = "|".join(values)
    return re.sub(r"\{(" + names + r")\}", lambda found: values[found[1]], template)
