"""Chat logs: what the user said in them, turn by turn, in the forms that people have.

OpenAI `messages` and batch lines, ShareGPT, WildChat and LMSYS, proxy logs with JSON in a string,
and the exports of ChatGPT and Claude. What systems, assistants and tools say is no user's turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guidealign.ingest._json import parse_json

USER_ROLES = frozenset({"user", "human", "prompter"})
ROLE_FIELDS = ("role", "from", "sender", "author")
TEXT_FIELDS = ("content", "value", "text", "parts")
TURNS_FIELDS = ("messages", "conversations", "conversation", "chat_messages")
"""Where a record keeps a list of turns."""
ID_FIELDS = ("conversation_id", "conversation_hash", "custom_id", "uuid", "id", "request_id")
TIME_FIELDS = (
    "create_time", "created_at", "timestamp", "startTime", "start_time", "tstamp", "created",
)  # fmt: skip
_WRAPPERS = ("body", "request", "proxy_server_request", "params")
"""Where logs of requests keep what was sent, as an object or as JSON in a string."""
CHAT_FIELDS = (*TURNS_FIELDS, "body", "request", "mapping")
"""Fields that hold a chat, also where their value is JSON in a string."""
_MOST_WRAPPERS = 4
_TEXT_PARTS = {"text", "input_text", "multimodal_text"}


@dataclass(frozen=True)
class Turn:
    """What a user said, and when, as far as the turn itself says so."""

    text: Any
    time: Any = None


def user_turns(value: Any, depth: int = 0) -> list[Turn] | None:
    """What the user said in a record or in a list of turns, in order.

    Args:
        value: a list of turns, an object that has one somewhere, or either as JSON in a string.
        depth: wrappers around it.

    Returns:
        None where it is no chat; empty where it is one in which no user speaks.
    """
    if depth > _MOST_WRAPPERS:
        return None
    if isinstance(value, str) and value.lstrip()[:1] in {"[", "{"}:
        value = parse_json(value).value
    if isinstance(value, Mapping):
        return _turns_of_record(value, depth)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return _turns_of_list(value)
    return None


def _turns_of_record(record: Mapping[str, Any], depth: int) -> list[Turn] | None:
    if isinstance(record.get("mapping"), Mapping):
        return list(_turns_of_tree(record["mapping"]))
    for name in TURNS_FIELDS:
        if (turns := user_turns(record.get(name), depth + 1)) is not None:
            return turns
    if depth and isinstance(record.get("prompt"), str):
        return [Turn(record["prompt"])]
    if depth and isinstance(record.get("input"), str):
        return [Turn(record["input"])]
    for name in ("input", *_WRAPPERS) if depth else _WRAPPERS:
        if (turns := user_turns(record.get(name), depth + 1)) is not None:
            return turns
    return None


def _turns_of_list(turns: Sequence[Any]) -> list[Turn] | None:
    if not turns or not all(isinstance(turn, Mapping) for turn in turns):
        return None
    if not any(_role(turn) is not None for turn in turns):
        return None
    return [_turn(turn) for turn in turns if _role(turn) in USER_ROLES]


def _turns_of_tree(nodes: Mapping[str, Any]) -> Iterator[Turn]:
    """All branches: a question that its author changed was asked as well."""
    children: dict[Any, list[Any]] = {}
    for key, node in nodes.items():
        if isinstance(node, Mapping):
            parent = node.get("parent")
            known = isinstance(parent, str) and parent in nodes
            children.setdefault(parent if known else None, []).append(key)
    # Behind the roots all keys: what stands in a cycle hangs from no root.
    starts = [key for key, node in nodes.items() if isinstance(node, Mapping)]
    waiting, seen = [*reversed(starts), *reversed(children.get(None, []))], set()
    while waiting:
        key = waiting.pop()
        if key in seen:
            continue
        seen.add(key)
        message = nodes[key].get("message")
        if isinstance(message, Mapping) and _said_by_user(message):
            yield _turn(message)
        waiting.extend(reversed(children.get(key, [])))


def _said_by_user(message: Mapping[str, Any]) -> bool:
    content, about = message.get("content"), message.get("metadata")
    hidden = isinstance(about, Mapping) and about.get("is_visually_hidden_from_conversation")
    kind = content.get("content_type") if isinstance(content, Mapping) else None
    return _role(message) in USER_ROLES and not hidden and _is_text_kind(kind)


def _role(turn: Mapping[str, Any]) -> str | None:
    for name in ROLE_FIELDS:
        said = turn.get(name)
        if isinstance(said, Mapping):
            said = said.get("role")
        if isinstance(said, str):
            return said.strip().lower()
    return None


def _turn(turn: Mapping[str, Any]) -> Turn:
    said = next((turn[name] for name in TEXT_FIELDS if turn.get(name)), None)
    when = next((turn[name] for name in TIME_FIELDS if turn.get(name) is not None), None)
    return Turn(_words(said), when)


def _is_text_kind(kind: Any) -> bool:
    """Whether a part's kind, which may be anything, is text or is not said."""
    return kind is None or (isinstance(kind, str) and kind in _TEXT_PARTS)


def _words(content: Any) -> Any:
    """The text of a content; parts of it that are images or files say nothing."""
    if isinstance(content, Mapping):
        content = content.get("parts", content.get("text"))
    if not isinstance(content, list):
        return content
    texts = []
    for part in content:
        is_text = isinstance(part, Mapping) and _is_text_kind(part.get("type"))
        said = part.get("text") if is_text else part
        if isinstance(said, str) and said:
            texts.append(said)
    return "\n".join(texts)
