"""Where guidelines go in a request, by the family of the model that reads it.

- `system`: into the system message at the start, in front of its own words. Many chat templates
  allow one system message, at the start.
- `separate`: a message of their own in front of all others, which stay byte for byte as they were.
  For models of vendors that take several.
- `user`: in front of the first user message, for families without a system role.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

from guidealign.guidance import guideline_prompt
from guidealign.records import RetrievedGuideline
from guidealign.serving.relay import Body, Edit, to_json
from guidealign.settings import UpstreamSettings

PromptFormat = Literal["system", "separate", "user"]

_FAMILIES: tuple[tuple[PromptFormat, tuple[str, ...]], ...] = (
    ("separate", ("gpt-*", "chatgpt-*", "o1*", "o3*", "o4*", "*/gpt-*", "claude-*", "*/claude-*")),
    ("user", ("*gemma-1*", "*gemma-2*", "*gemma2*", "*gemma-7b*")),
)
_BYTES_PER_TOKEN = 3.5
"""Low for English (about 4.4) and near for other scripts: an estimate that rather errs high."""
_OVERHEAD_TOKENS = 4
"""Of a message's own marks."""


def format_of(model: str) -> PromptFormat:
    """The format that a model's family reads; `system` where the family is not known."""
    name = model.lower()
    for prompt_format, patterns in _FAMILIES:
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return prompt_format
    return "system"


def upstream_format(upstream: UpstreamSettings, model: str) -> PromptFormat:
    """Where an upstream's model reads guidelines: as set, else by the model's family."""
    given = upstream.prompt_format
    return format_of(upstream.model or model) if given == "auto" else given


def estimate_tokens(text: str) -> int:
    """About how many tokens a text is, for any model: by its bytes in UTF-8."""
    return -(-len(text.encode("utf-8", "replace")) * 2 // int(2 * _BYTES_PER_TOKEN))


def within_budget(
    guidelines: Sequence[RetrievedGuideline], tokens: int
) -> list[RetrievedGuideline]:
    """The nearest guidelines that fit into a budget together with the words around them.

    One that is too long is passed over for a shorter one behind it.
    """
    kept: list[RetrievedGuideline] = []
    left = tokens - estimate_tokens(guideline_prompt(())) - _OVERHEAD_TOKENS
    for guideline in guidelines:
        cost = estimate_tokens(f"{guideline.title}: {guideline.text}") + _OVERHEAD_TOKENS
        if cost <= left:
            kept.append(guideline)
            left -= cost
    return kept


def guide_chat(
    body: Body, guidelines: Sequence[RetrievedGuideline], prompt_format: PromptFormat
) -> Edit:
    """Guidelines for a chat request; all else stays byte for byte as it came."""
    messages = body.values["messages"]
    prompt = guideline_prompt(guidelines)
    place = _place(messages, prompt_format)
    if place is not None:
        message = Body(body.element("messages", place))
        content = to_json(joined(prompt, message.get("content")))
        changed = message.edited([message.replace("content", content)])
        return body.put_element("messages", place, changed)
    return body.put_first("messages", to_json(_message_of_their_own(messages, prompt)))


def guide_instructions(body: Body, guidelines: Sequence[RetrievedGuideline]) -> Edit:
    """Guidelines for a request of `/v1/responses`, in front of its instructions."""
    prompt = guideline_prompt(guidelines)
    return body.replace("instructions", to_json(joined(prompt, body.get("instructions"))))


def guide_messages(
    messages: Sequence[dict[str, Any]],
    guidelines: Sequence[RetrievedGuideline],
    prompt_format: PromptFormat,
) -> list[dict[str, Any]]:
    """A conversation with guidelines in it; messages that stay are the same objects."""
    prompt = guideline_prompt(guidelines)
    place = _place(messages, prompt_format)
    if place is None:
        return [_message_of_their_own(messages, prompt), *messages]
    changed = dict(messages[place])
    changed["content"] = joined(prompt, changed.get("content"))
    return [*messages[:place], changed, *messages[place + 1 :]]


def _place(messages: Sequence[dict[str, Any]], prompt_format: PromptFormat) -> int | None:
    """The message that takes the guidelines in; None: they get one of their own."""
    if prompt_format == "user":
        users = [i for i, m in enumerate(messages) if m["role"] == "user" and _joinable(m)]
        return users[0] if users else None
    first = messages[0]
    if prompt_format == "system" and first["role"] in {"system", "developer"} and _joinable(first):
        return 0
    return None


def _message_of_their_own(messages: Sequence[dict[str, Any]], prompt: str) -> dict[str, str]:
    """With the role that the conversation itself uses for such words."""
    roles = {message["role"] for message in messages}
    role = "developer" if "developer" in roles and "system" not in roles else "system"
    return {"role": role, "content": prompt}


def _joinable(message: dict[str, Any]) -> bool:
    return isinstance(message.get("content"), str | list)


def joined(prompt: str, content: Any) -> Any:
    """Words in front of a content: a string, or a list of parts that stay as they are."""
    if isinstance(content, list):
        return [{"type": "text", "text": prompt}, *content]
    return f"{prompt}\n\n{content}" if content else prompt
