"""Prompts are versioned files: a stable prefix comes first, and the input last, as data."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from guidealign.errors import BadInputError
from guidealign.llm import Message

SAFETY_PROMPT = "safety"
QUALITY_PROMPT = "quality"
SCREEN_PROMPT = "screen"
PROMPTS = (SAFETY_PROMPT, QUALITY_PROMPT, SCREEN_PROMPT)
Branch = Literal["safety", "quality", "screen"]
_TURN = re.compile(r"^=== (\w+)\n", re.MULTILINE)
_ROLES = frozenset({"system", "user", "assistant"})
_MARKED = re.compile(r"<input-[^>\n]+>\n(.*?)\n</input-[^>\n]+>", re.DOTALL)
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
    content: str
    """The file as it is."""
    defended: bool = True
    """Whether inputs stand between marks, as data. False only to measure what that is worth."""

    @property
    def branch(self) -> Branch:
        """The branch that the prompt serves, by the sections that it has."""
        if "ask" in self.templates:
            return "safety"
        return "screen" if "check" in self.templates else "quality"

    def prefix(self, n_guidelines: int = 1) -> list[Message]:
        """Returns the turns before the input, alike for all inputs, so servers can cache them."""
        fill = {**self.templates, "n": str(n_guidelines)}
        return [{"role": role, "content": _fill(text, fill)} for role, text in self.turns]

    def input_turn(self, text: str, nonce: str, *, flagged: bool = False) -> Message:
        """Returns the turn that holds the untrusted text, between marks that the text cannot know.

        `flagged`: a screening found it unsafe, and the question says so.
        """
        shown = as_data(text) if self.defended else text
        check = self.templates.get("flagged" if flagged else "check", "")
        fill = {"nonce": nonce, "input": shown, "check": check}
        return {"role": "user", "content": _fill(self.templates["input"], fill)}

    def examples(self) -> tuple[str, ...]:
        """Returns the assistant's answers in the fixed turns."""
        return tuple(text for role, text in self.turns if role == "assistant")

    def example_inputs(self) -> tuple[str, ...]:
        """Returns the inputs that the fixed turns are about."""
        found = (_MARKED.search(text) for role, text in self.turns if role == "user")
        return tuple(match[1] for match in found if match)

    def wording(self) -> tuple[str, ...]:
        """Returns the prompt's own wording, without its examples; no output should repeat it."""
        system = tuple(text for role, text in self.turns if role == "system")
        return (*system, *(text for name, text in self.templates.items() if name != "input"))

    def ask_turn(self, n_guidelines: int) -> Message:
        """Returns the turn that asks for guidelines after the detection."""
        fill = {"n": str(n_guidelines)}
        return {"role": "user", "content": _fill(self.templates["ask"], fill)}

    def undefended(self) -> Prompt:
        """Returns the prompt without marks, escapes and the warning that inputs are data.

        For measuring what these are worth, and for nothing else.
        """
        bare = {name: _MARKED.sub(r"\1", text) for name, text in self.templates.items()}
        return replace(
            self,
            version=f"{self.version}-bare",
            turns=tuple((role, _MARKED.sub(r"\1", text)) for role, text in self.turns),
            templates={**bare, "defence": ""},
            defended=False,
        )


def new_nonce() -> str:
    """Returns a mark that no input can guess."""
    return secrets.token_hex(4)


def as_data(text: str) -> str:
    """Takes apart the forms in untrusted text that a chat template reads as the end of a turn.

    Servers tokenise the rendered conversation as a whole, so a `<|im_end|>` inside a message
    would end it.
    """
    return _CONTROL_FORMS.sub(lambda form: " ".join(form[0]), text)


@lru_cache(maxsize=8)
def load_prompt(name: str) -> Prompt:
    """Loads the prompt of a name from this folder."""
    content = (files(__package__) / f"{name}.md").read_text(encoding="utf-8")
    return _parse(name, content)


def read_prompt(source: str) -> Prompt:
    """Reads a packaged prompt by its name, or a file of the same form by its path.

    Raises:
        BadInputError: it is neither, or the file lacks the turns and templates of a prompt.
    """
    if source in PROMPTS:
        return load_prompt(source)
    file = Path(source)
    try:
        content = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"{source} is no prompt: give a readable file, or one of {', '.join(PROMPTS)}"
        ) from error
    prompt = _parse(file.stem, content)
    if not prompt.turns or "{input}" not in prompt.templates.get("input", ""):
        raise BadInputError(
            f"{source} is no prompt: it needs `=== system` and a section `=== input` with {{input}}"
        )
    return prompt


def _parse(name: str, content: str) -> Prompt:
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    turns, templates = [], {}
    for kind, text in _sections(content):
        if kind in _ROLES:
            turns.append((kind, text))
        else:
            templates[kind] = text
    return Prompt(
        version=f"{name}-{digest}", turns=tuple(turns), templates=templates, content=content
    )


def _sections(content: str) -> Iterator[tuple[str, str]]:
    parts = _TURN.split(content)[1:]
    for kind, text in zip(parts[::2], parts[1::2], strict=True):
        yield kind, text.strip()


def _fill(template: str, values: dict[str, str]) -> str:
    """Puts values in one pass, so that a value's own braces are never read as a name."""
    names = "|".join(values)
    return re.sub(r"\{(" + names + r")\}", lambda found: values[found[1]], template)
