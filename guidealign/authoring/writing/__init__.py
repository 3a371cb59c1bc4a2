"""Writing: the questions that the safety model is asked about one input."""

from guidealign.authoring.writing.author_input import StageCalls, author_input
from guidealign.authoring.writing.questions import Prompts, packaged_prompts
from guidealign.authoring.writing.trial import (
    Ask,
    Trial,
    ask_detection,
    ask_quality,
    ask_screen,
    ask_whole,
)

__all__ = [
    "Ask",
    "Prompts",
    "StageCalls",
    "Trial",
    "ask_detection",
    "ask_quality",
    "ask_screen",
    "ask_whole",
    "author_input",
    "packaged_prompts",
]
