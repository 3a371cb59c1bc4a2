"""The only door to language models: an OpenAI-compatible endpoint."""

from guidealign.llm.async_client import AsyncChatClient
from guidealign.llm.cache import CachedAnswer, CacheScope, MemoryCache, ResponseCache, cache_key
from guidealign.llm.client import ChatClient, run_many
from guidealign.llm.model import (
    CallRecord,
    ChatResult,
    ChoiceResult,
    InvalidAnswerError,
    Message,
    TypedResult,
    Usage,
    recorded_calls,
)

__all__ = [
    "AsyncChatClient",
    "CacheScope",
    "CachedAnswer",
    "CallRecord",
    "ChatClient",
    "ChatResult",
    "ChoiceResult",
    "InvalidAnswerError",
    "MemoryCache",
    "Message",
    "ResponseCache",
    "TypedResult",
    "Usage",
    "cache_key",
    "recorded_calls",
    "run_many",
]
