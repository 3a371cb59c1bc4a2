"""The judges' prompts: versioned files, in which what is judged stands last and as data."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from guidealign.authoring import as_data, new_nonce
from guidealign.llm import Message

_SECTION = re.compile(r"^=== (\w+)\n", re.MULTILINE)
_ROLES = frozenset({"system", "user", "assistant"})


@dataclass(frozen=True)
class JudgePrompt:
    """Fixed turns with examples, then the question about what is judged."""

    version: str
    """Name and the first 8 hex digits of the file's SHA-256."""
    turns: tuple[tuple[str, str], ...]
    question: str
    ask: str

    def messages(self, **judged: str) -> list[Message]:
        """The conversation that asks about these texts, which stand between marks of their own."""
        fixed = [{"role": role, "content": _fill(t, ask=self.ask)} for role, t in self.turns]
        shown = {name: as_data(text) for name, text in judged.items()}
        question = _fill(self.question, nonce=new_nonce(), ask=self.ask, **shown)
        return [*fixed, {"role": "user", "content": question}]


@lru_cache(maxsize=4)
def load_judge_prompt(name: str, question: str) -> JudgePrompt:
    """The prompt of a name in this package's folder `prompts`; `question` names its section."""
    content = (files(__package__) / "prompts" / f"{name}.md").read_text(encoding="utf-8")
    parts = _SECTION.split(content)[1:]
    sections = [(kind, t.strip()) for kind, t in zip(parts[::2], parts[1::2], strict=True)]
    templates = {kind: text for kind, text in sections if kind not in _ROLES}
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    return JudgePrompt(
        version=f"{name}-{digest}",
        turns=tuple((kind, text) for kind, text in sections if kind in _ROLES),
        question=templates[question],
        ask=templates["ask"],
    )


def _fill(template: str, **values: str) -> str:
    """Puts values in one pass, so that a value's own braces are never read as a name."""
    names = "|".join(values)
    return re.sub(r"\{(" + names + r")\}", lambda found: values[found[1]], template)
