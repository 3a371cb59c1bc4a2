"""The only door to language models: an OpenAI-compatible endpoint."""

from guidealign.llm.client import ChatClient, Message, run_many
from guidealign.llm.model import (
    CallRecord,
    ChatResult,
    InvalidAnswerError,
    TypedResult,
    recorded_calls,
)

__all__ = [
    "CallRecord",
    "ChatClient",
    "ChatResult",
    "InvalidAnswerError",
    "Message",
    "TypedResult",
    "recorded_calls",
    "run_many",
]
