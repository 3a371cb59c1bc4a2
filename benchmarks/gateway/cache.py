"""What llama.cpp computes again in later messages of a conversation, by where guidelines stand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import yaml
from rich.console import Console

from benchmarks._harness.bundled_model import model_server
from benchmarks._harness.report import Figure
from benchmarks._harness.starter_guidance import starter_live
from guidealign.guidance import asked_of_turns, compose, find_all, proposed_policy
from guidealign.records import GuidancePolicy
from guidealign.settings import Settings, load_settings

TARGET = 0.15
_TALKS = Path(__file__).with_name("conversations.yaml")
_ANSWER_TOKENS = 40
_RULES = (
    "Answer questions about orders, deliveries, returns and repairs; for all else be brief.",
    "Use the customer's language, and the names of things as the catalogue has them.",
    "Give prices in the currency of the order, with tax, and say when a price may have changed.",
    "Never promise a date; name the usual span, and what it depends on.",
    "Ask for the order's number only where the answer depends on it.",
    "Where a part is missing, offer to send it before you offer to take the whole thing back.",
    "A return is free within thirty days; later the customer pays for the parcel.",
    "Write numbers of four digits or more with a space between the thousands.",
    "Where two answers are possible, say both in one sentence each.",
    "Close with one question that helps the customer to go on.",
)
console = Console(stderr=True)


@dataclass
class _Tokens:
    """Of the messages behind a conversation's first."""

    prompt: int = 0
    computed: int = 0
    first_token_ms: float = 0.0
    n: int = 0


def measure_cache(full: bool) -> list[Figure]:
    """Six-message conversations behind an application's prompt of about 1,300 tokens."""
    settings = load_settings()
    talks = yaml.safe_load(_TALKS.read_text("utf-8"))
    talks = talks if full else talks[:1]
    policy = proposed_policy(settings)
    ways: list[tuple[str, GuidancePolicy | None]] = [
        ("none", None),
        ("in front of everything, looked up for each message",
         replace(policy, placement="system_start", sticky=False)),
        ("system_end, looked up for each message",
         replace(policy, placement="system_end", sticky=False)),
        ("last_user", replace(policy, placement="last_user")),
        (f"{policy.placement}, the default", policy),
    ]  # fmt: skip
    figures = []
    with model_server("base", settings, slots=1) as (base_url, key):
        client = httpx.Client(
            base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=300
        )
        for name, one in ways:
            figures.append(_figure(name, one, talks, settings, client))
            console.print(f"cache: {name}: {figures[-1].value:.3f}", highlight=False)
    return figures


def _figure(
    name: str,
    policy: GuidancePolicy | None,
    talks: list[list[str]],
    settings: Settings,
    client: httpx.Client,
) -> Figure:
    tokens = _Tokens()
    live = None if policy is None else starter_live(settings, policy)
    for talk in talks:
        conversation: list[dict[str, Any]] = [{"role": "system", "content": _application()}]
        for number, said in enumerate(talk):
            conversation.append({"role": "user", "content": said})
            messages = conversation
            if live is not None and policy is not None:
                asked = asked_of_turns(talk[: number + 1], policy)
                found = find_all(live, [asked] if asked else [])[0]
                messages = compose(
                    conversation, found.guidelines, policy, model="base", turn=found.turn
                )
            conversation.append(_answered(messages, client, tokens if number else _Tokens()))
    is_default = "the default" in name
    share = tokens.computed / tokens.prompt
    return Figure(
        figure=f"cache: re-sent prompt tokens outside the cached prefix, messages 2-6: {name}",
        value=share,
        unit="share",
        n=tokens.n,
        target=f"<= {TARGET}" if is_default else "",
        met=share <= TARGET if is_default else None,
        note=f"{tokens.prompt / tokens.n:.0f} tokens a prompt, of which llama.cpp computed"
        f" {tokens.computed / tokens.n:.0f} (its own prompt_n); prompt"
        f" {tokens.first_token_ms / tokens.n:.0f} ms a message; bundled base, starter library",
    )


def _application() -> str:
    lines = [f"{i + 1}. {_RULES[i % len(_RULES)]}" for i in range(6 * len(_RULES))]
    return "You are the assistant of a shop for household goods.\n" + "\n".join(lines)


def _answered(
    messages: list[dict[str, Any]], client: httpx.Client, tokens: _Tokens
) -> dict[str, Any]:
    answer = client.post(
        "/chat/completions",
        json={
            "model": "base",
            "messages": messages,
            "temperature": 0,
            "max_tokens": _ANSWER_TOKENS,
            "cache_prompt": True,
        },
    )
    answer.raise_for_status()
    body = answer.json()
    tokens.prompt += body["usage"]["prompt_tokens"]
    tokens.computed += body["timings"]["prompt_n"]
    tokens.first_token_ms += body["timings"]["prompt_ms"]
    tokens.n += 1
    return {"role": "assistant", "content": body["choices"][0]["message"]["content"]}
