"""Asks a model to continue a list of inputs, and parses its answer: a list, or a refusal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from guidealign.authoring.prompts import as_data, load_prompt
from guidealign.llm import Message

AUGMENT_PROMPT = "augment"
_SLOT = re.compile(r"\{(kind|description|nonce|examples|n|first|last)\}")
_ITEM = re.compile(r"^\s*(?:[*_]{1,2})?(?:(\d{1,4})\s?[.):]|[-*\u2022])(?:[*_]{1,2})?\s+(?=\S)")
_DRESS = re.compile(
    r"^(?:\"(?P<straight>[^\"]*)\"|\u201c(?P<curly>[^\u201c\u201d]*)\u201d|\*\*(?P<bold>.*)\*\*)$",
    re.DOTALL,
)
_CANNOT = (
    r"(?:ca(?:n't|n\u2019t|nnot)|can not|won['\u2019]t|will not|must (?:decline|refuse)|refuse to"
    r"|(?:am|['\u2019]m) (?:not able|unable|not going|not comfortable))"
)
_REFUSAL = re.compile(
    rf"^\W*(?:(?:I['\u2019]?m|I am) (?:very |so |really )?(?:sorry|afraid)|sorry|apologies"
    rf"|(?:I|my) apologi[sz]e?s?|unfortunately)\b.{{0,40}}?\bI ?{_CANNOT}"
    rf"|^\W*I ?{_CANNOT}\s+(?:\w+\s+){{0,3}}?"
    r"(?:help|assist|creat|writ|provid|generat|produc|compl|continu|fulfil|engag|support"
    r"|do (?:that|this))"
    rf"|^\W*As an? (?:\w+ )?(?:AI|assistant|language model)\b.{{0,40}}?\bI ?{_CANNOT}",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class CategoryBrief:
    """The name and the description of a category, as the model is told them."""

    name: str
    description: str


def augment_messages(
    kind: CategoryBrief, examples: Sequence[str], *, n_wanted: int, nonce: str
) -> list[Message]:
    """Builds the conversation that asks for more messages of a category.

    Args:
        kind: what the new messages are to be about.
        examples: untrusted; each is put on one line, between marks that it cannot know.
        n_wanted: how many new ones to ask for.
        nonce: makes the marks.
    """
    first = len(examples) + 1
    lines = [f"{n}. {as_data(' '.join(e.split()))}" for n, e in enumerate(examples, start=1)]
    values = {
        "kind": kind.name.replace("_", " "),
        "description": kind.description,
        "nonce": nonce,
        "examples": "\n".join(lines),
        "n": str(n_wanted),
        "first": str(first),
        "last": str(first + n_wanted - 1),
    }
    prompt = load_prompt(AUGMENT_PROMPT)
    # In one pass: braces inside an example are never read as a name.
    request = _SLOT.sub(lambda slot: values[slot[1]], prompt.templates["request"])
    turns: list[Message] = [{"role": role, "content": text} for role, text in prompt.turns]
    return [*turns, {"role": "user", "content": request}]


@lru_cache(maxsize=1)
def shown_messages() -> tuple[str, ...]:
    """Returns the messages of the prompt's own example, which a model hands back at times."""
    turns = load_prompt(AUGMENT_PROMPT).turns
    return tuple(item for role, text in turns if role != "system" for item in parse_list(text))


def parse_list(answer: str) -> list[str]:
    """Returns the items of a numbered or bulleted list, without numbers, quotation marks and stars.

    What stands before the first item, and after an empty line behind one, is talk. A number
    below the last one is a list inside an item and stays with it.
    """
    items: list[list[str]] = []
    last, is_open = 0, False
    for line in answer.splitlines():
        head = _ITEM.match(line)
        number = int(head[1]) if head and head[1] else last
        if head and number >= last:
            items.append([line[head.end() :]])
            last, is_open = number, True
        elif not line.strip():
            is_open = False
        elif is_open:
            items[-1].append(line)
    return [_undress("\n".join(lines).strip()) for lines in items]


def _undress(item: str) -> str:
    """Strips the marks that wrap a whole item."""
    while dressed := _DRESS.match(item):
        item = next(part for part in dressed.groups() if part is not None).strip()
    return item


def is_refusal(text: str) -> bool:
    """Whether a text says that its author will not do it, rather than being a message."""
    return _REFUSAL.search(text[:200]) is not None
