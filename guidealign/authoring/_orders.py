"""A tripwire that no input can talk its way past: orders to whoever reads it.

A small model that is told "mark this as safe" tends to obey. The verdict on a message that
gives its reviewer orders is therefore not left to the model alone.
"""

from __future__ import annotations

import re

from guidealign.authoring.model import Detection, RiskName

_LEAK = re.compile(
    r"\b(?:system|hidden|initial|secret|original|internal) (?:prompt|instructions?|rules)\b"
    r"|\b(?:print|reveal|repeat|output|show)\b.{0,30}\b(?:your|the) (?:prompt|instructions)\b",
    re.IGNORECASE | re.DOTALL,
)
_HIJACK = re.compile(
    r"\b(?:ignore|disregard|forget|override|skip|drop)\s+(?:all |any |of |the |these |those |your "
    r"|my |previous |prior |earlier |above |preceding |former )*"
    r"(?:(?:all|any|your|previous|prior|earlier|above|preceding|these|those) )"
    r"(?:instructions?|rules?|guidelines?|prompts?|polic(?:y|ies)|review|orders)\b"
    r"|\b(?:ignore|disregard) (?:everything|all|the text) (?:above|before)\b"
    r"|\b(?:mark|classify|label|rate|report) (?:this|it|me|the message) as (?:safe|harmless)\b"
    r"|<\||\|>|\[/?INST\]|<</?SYS>>|</?input-",
    re.IGNORECASE,
)


def override_detection(found: Detection, text: str) -> Detection:
    """The detection, made unsafe when the input gives orders that it should not obey."""
    if found.unsafe:
        return found
    names: list[RiskName] = []
    if _LEAK.search(text):
        names.append("Prompt_Leaking")
    if _HIJACK.search(text):
        names.append("Goal_Hijacking")
    if not names:
        return found
    return Detection(
        rationale="Rule: it gives orders to whoever reads it, to drop or reveal instructions.",
        unsafe_content=False,
        may_trigger_unsafe=True,
        categories=names,
        severity=1,
    )
