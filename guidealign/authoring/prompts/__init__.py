"""The prompts of authoring: versioned files of fixed turns, in which an input stands as data."""

from guidealign.authoring.prompts.prompt import (
    PROMPTS,
    QUALITY_PROMPT,
    SAFETY_PROMPT,
    SCREEN_PROMPT,
    Prompt,
    as_data,
    load_prompt,
    new_nonce,
    read_prompt,
)
from guidealign.authoring.prompts.register import register_prompts

__all__ = [
    "PROMPTS",
    "QUALITY_PROMPT",
    "SAFETY_PROMPT",
    "SCREEN_PROMPT",
    "Prompt",
    "as_data",
    "load_prompt",
    "new_nonce",
    "read_prompt",
    "register_prompts",
]
