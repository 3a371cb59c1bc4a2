"""Writing: the questions that the safety model is asked about one input."""

from guidealign.authoring.writing.author_input import StageCalls, author_input
from guidealign.authoring.writing.questions import (
    Conversation,
    Prompts,
    Screened,
    detect,
    packaged_prompts,
    screen,
    write_guidelines,
)

__all__ = [
    "Conversation",
    "Prompts",
    "Screened",
    "StageCalls",
    "author_input",
    "detect",
    "packaged_prompts",
    "screen",
    "write_guidelines",
]
