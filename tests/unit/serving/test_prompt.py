"""Where guidelines go, and how many fit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guidealign.guidance import compose
from guidealign.records import RetrievedGuideline
from guidealign.serving.prompt import (
    PromptFormat,
    estimate_tokens,
    format_of,
    guide_chat,
    guide_messages,
    within_budget,
)
from guidealign.serving.relay import Body


def guideline(number: int, text: str = "Be kind.") -> RetrievedGuideline:
    return RetrievedGuideline(
        guideline_id=number, title=f"T{number}", text=text, category="Insult", rank=1, score=0.5
    )


ROLES = st.sampled_from(["system", "user", "assistant", "developer", "tool"])
CONTENTS = (
    st.text(max_size=10)
    | st.none()
    | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=5)}))
)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": ROLES, "content": CONTENTS}), min_size=1, max_size=5
)
FORMATS = st.sampled_from(["system", "separate", "user"])


@given(MESSAGES, FORMATS)
def test_the_server_and_the_python_api_place_them_alike(
    messages: list[dict[str, Any]], prompt_format: PromptFormat
) -> None:
    body = Body(json.dumps({"messages": messages}))
    edit = guide_chat(body, [guideline(1)], prompt_format)
    placed = json.loads(body.edited([edit]))["messages"]
    assert placed == guide_messages(messages, [guideline(1)], prompt_format)


@given(st.text(min_size=1, max_size=20), st.none() | st.text(min_size=1, max_size=20))
def test_a_plain_conversation_is_composed_as_for_the_aligned_data(
    text: str, system: str | None
) -> None:
    own = [] if system is None else [{"role": "system", "content": system}]
    messages = [*own, {"role": "user", "content": text}]
    guidelines = [guideline(1), guideline(2)]
    assert guide_messages(messages, guidelines, "system") == compose(messages, guidelines)


def test_formats_keep_what_is_there() -> None:
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "u"},
    ]
    separate = guide_messages(messages, [guideline(1)], "separate")
    assert separate[1:] == messages
    in_user = guide_messages(messages, [guideline(1)], "user")
    assert in_user[0] == messages[0]
    assert in_user[1]["content"].endswith("\n\nu")
    # Nobody to put them in front of: they get a message of their own.
    only = [{"role": "assistant", "content": "a"}]
    assert guide_messages(only, [guideline(1)], "user")[1:] == only


@pytest.mark.parametrize(
    ("model", "prompt_format"),
    [
        ("gpt-5-mini", "separate"),
        ("openai/gpt-4o", "separate"),
        ("o3", "separate"),
        ("claude-x", "separate"),
        ("google/gemma-2-9b-it", "user"),
        ("gemma-3-4b-it", "system"),
        ("Qwen3-8B", "system"),
        ("", "system"),
    ],
)
def test_families(model: str, prompt_format: PromptFormat) -> None:
    assert format_of(model) == prompt_format


def test_tokens_are_estimated_by_bytes() -> None:
    # 35 bytes at 3.5 a token; 12 characters of 3 bytes are 36 bytes, 10.3 tokens, rounded up.
    assert estimate_tokens("x" * 35) == 10
    assert estimate_tokens("好" * 12) == 11
    assert estimate_tokens("") == 0


@given(st.lists(st.integers(0, 400), max_size=8), st.integers(0, 600))
def test_the_budget_is_never_overrun(lengths: list[int], budget: int) -> None:
    guidelines = [guideline(i, "x" * length) for i, length in enumerate(lengths)]
    kept = within_budget(guidelines, budget)
    places = [guidelines.index(one) for one in kept]
    assert places == sorted(places)
    if kept:
        (message, _) = guide_messages([{"role": "user", "content": "u"}], kept, "system")
        assert estimate_tokens(message["content"]) <= budget
