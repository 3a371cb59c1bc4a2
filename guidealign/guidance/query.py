"""What the retriever is asked for a conversation: the user's last turn, with context."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_WINDOW_CHARS = 350
"""About what an encoder reads (96 tokens); the rest of a longer text it cuts off."""
_MOST_WINDOWS = 4
MOST_TURNS = 8
"""Of a block through which a topic is followed."""
_SHORT_BYTES = 24
"""A turn up to here ("and how exactly?") says too little to be a topic of its own."""
_TEXT_PARTS = frozenset({"text", "input_text"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A user's last turn as the encoder gets it."""

    text: str
    windows: tuple[str, ...]
    """The turn, or pieces of a long one from its first to its last words: what is asked may stand
    anywhere in it. A guideline's score is that of the piece it is nearest to."""
    context: str | None = None
    """The turn before, where it may help to understand a last turn of one window."""

    @property
    def is_short(self) -> bool:
        """Whether it belongs to the topic of the turn before, whatever its vector says."""
        return len(self.text.encode()) <= _SHORT_BYTES


@dataclass(frozen=True, slots=True)
class Turn:
    """What a user says at a time."""

    text: str
    message: int
    """Index of the turn's last message with words."""


def query_of_turns(turns: Sequence[str]) -> Query | None:
    """What to ask for the last of a user's turns; None: there is none."""
    if not turns:
        return None
    windows = _windows(turns[-1])
    before = _windows(turns[-2])[0] if len(turns) > 1 and len(windows) == 1 else None
    return Query(text=turns[-1], windows=windows, context=before)


def queries_of_turns(turns: Sequence[str]) -> tuple[Query, ...]:
    """The queries of a user's last turns, from where a topic can have begun; the last one's last.

    A topic is followed through a block of turns at most: what one request costs is bounded, and
    the block of a turn is the same whenever it is looked at.
    """
    first = (len(turns) - 1) // MOST_TURNS * MOST_TURNS if turns else 0
    asked = (query_of_turns(turns[: place + 1]) for place in range(first, len(turns)))
    return tuple(query for query in asked if query is not None)


def conversation_id_of(turns: Sequence[str]) -> str | None:
    """A hash of the first turn, the same to a conversation's end; None: nothing was said."""
    if not turns:
        return None
    return hashlib.blake2b(turns[0].encode(), digest_size=16).hexdigest()


def turns_of(messages: Iterable[Mapping[str, Any]]) -> list[Turn]:
    """The user's turns; messages that follow one another are one turn."""
    turns: list[Turn] = []
    open_turn = False
    for place, message in enumerate(messages):
        if message.get("role") != "user":
            open_turn = False
            continue
        words = _words(message.get("content"))
        if not words:
            continue
        if open_turn:
            turns[-1] = Turn(f"{turns[-1].text}\n{words}", place)
        else:
            turns.append(Turn(words, place))
            open_turn = True
    return turns


def user_turns(messages: Iterable[Mapping[str, Any]]) -> list[str]:
    """The words of the user's turns."""
    return [turn.text for turn in turns_of(messages)]


def input_turns(value: Any) -> list[str]:
    """The user's turns in the `input` of `/v1/responses`: a text, or a list of items."""
    if isinstance(value, str):
        return user_turns([{"role": "user", "content": value}])
    if isinstance(value, list):
        return user_turns(item for item in value if isinstance(item, dict))
    return []


def _words(content: Any) -> str:
    if isinstance(content, list):
        parts = (p.get("text") for p in content if isinstance(p, dict) and _is_text(p))
        content = "\n".join(part for part in parts if isinstance(part, str))
    if not isinstance(content, str):
        return ""
    # Half of a surrogate pair comes through JSON, and breaks tokenizers and databases.
    return content.encode("utf-8", "replace").decode().replace("\x00", " ").strip()


def _is_text(part: Mapping[str, Any]) -> bool:
    return part.get("type") in _TEXT_PARTS


def _windows(text: str) -> tuple[str, ...]:
    if len(text) <= _WINDOW_CHARS:
        return (text,)
    n = min(_MOST_WINDOWS, -(-len(text) // _WINDOW_CHARS))
    last = len(text) - _WINDOW_CHARS
    return tuple(text[last * i // (n - 1) :][:_WINDOW_CHARS] for i in range(n))
