"""Answers kept by what was asked: the protocol, the key, and a cache in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from guidealign.llm.model import Message


@dataclass(frozen=True, kw_only=True)
class CacheScope:
    """Makes a question cacheable, and says what of it is not part of the question."""

    prompt_version: str
    nonce: str = ""
    """A delimiter of this request alone: two questions that differ in it only are the same."""


@dataclass(frozen=True, kw_only=True)
class CachedAnswer:
    """An answer that was used, as the model gave it."""

    text: str
    finish_reason: str
    model: str
    """Who answered."""
    prompt_tokens: int
    completion_tokens: int


class ResponseCache(Protocol):
    """Keeps answers; shared by all calls of a client, so its methods run concurrently."""

    async def get(self, key: str) -> CachedAnswer | None:
        """The answer kept under a key; None: there is none."""

    async def put(self, key: str, answer: CachedAnswer) -> None:
        """Keeps an answer; one that is there already may stay."""


class MemoryCache:
    """A `ResponseCache` of this process."""

    def __init__(self) -> None:
        self._answers: dict[str, CachedAnswer] = {}

    async def get(self, key: str) -> CachedAnswer | None:
        """The answer kept under a key; None: there is none."""
        return self._answers.get(key)

    async def put(self, key: str, answer: CachedAnswer) -> None:
        """Keeps an answer in place of an earlier one."""
        self._answers[key] = answer


def cache_key(
    model: str, messages: Sequence[Message], parameters: Mapping[str, Any], scope: CacheScope
) -> str:
    """SHA-256, in hex, of everything that decides an answer; a nonce does not.

    Args:
        model: the model that is asked first; a fallback's answer is kept under its name.
        messages: the conversation.
        parameters: temperature, limit, seed, and the schema of a typed answer.
        scope: the prompt's version, and the nonce of the conversation.
    """
    turns = [
        [turn["role"], turn["content"].replace(scope.nonce, "") if scope.nonce else turn["content"]]
        for turn in messages
    ]
    asked = [model, scope.prompt_version, turns, dict(parameters)]
    return hashlib.sha256(
        json.dumps(asked, ensure_ascii=True, separators=(",", ":"), sort_keys=True).encode()
    ).hexdigest()
