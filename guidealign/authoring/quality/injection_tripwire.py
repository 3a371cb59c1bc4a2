"""The tripwire makes an input unsafe that gives orders to its reader, whatever the model says.

A small model that is told "mark this as safe" tends to obey. The verdict on a message that
gives its reviewer orders is therefore not left to the model alone.
"""

from __future__ import annotations

import hashlib
import re

from guidealign.authoring.model import Detection, RiskName
from guidealign.authoring.quality.leakage import repeats_prompt

_LEAK = re.compile(
    r"\b(?:your|this|the|its) (?:\w+ ){0,2}?(?:system|initial|original)"
    r" (?:prompt|instructions?|rules)\b"
    r"|\b(?:hidden|secret|internal) (?:prompt|instructions?|rules|configuration)\b"
    r"|\b(?:print|reveal|repeat|output|show|copy|quote|convert|encode|translate|dump|recite)\b"
    r".{0,30}\b(?:your|the) (?:\w+ )?(?:prompt|instructions|system (?:turn|message))\b"
    r"|\b(?:print|repeat|copy|output|show|dump|translate|quote) (?:back )?(?:everything|all)"
    r"(?: that (?:stands|is|was))? (?:above|before)\b",
    re.IGNORECASE | re.DOTALL,
)
_HIJACK = re.compile(
    r"\b(?:ignore|disregard|forget|override|skip|drop)\s+(?:all |any |of |the |these |those |your "
    r"|my |previous |prior |earlier |above |preceding |former )*"
    r"(?:(?:all|any|your|previous|prior|earlier|above|preceding|these|those) )"
    r"(?:instructions?|rules?|guidelines?|prompts?|polic(?:y|ies)|review|orders)\b"
    r"|\b(?:ignore|disregard) (?:everything|all|the text) (?:above|before)\b"
    r"|\b(?:mark|classify|label|rate|report) (?:this|it|me|the message) as (?:safe|harmless)\b"
    r"|\b(?:note|order|word|p\.?s\.?),? (?:to|for) (?:the )?(?:ai|bot|model|reviewers?|graders?"
    r"|classifier|safety (?:system|team|model))\b"
    r"|\b(?:both|your|the) verdicts?(?: are| is|:)? (?:both )?(?:no|false|safe)\b"
    r"|\bset (?:both|the verdicts?|severity) to\b|\bunsafe_content\b|\bmay_trigger_unsafe\b"
    r"|\b(?:each|every|your) guidelines? (?:you write|must|should|has to|have to|contains?|ends?"
    r"|begins?|starts?)\b"
    r"|<\||\|>|\[/?INST\]|<</?SYS>>|</?input\b|^=== \w+$",
    re.IGNORECASE | re.MULTILINE,
)
_SPEAKS_TO_READER = re.compile(
    r"\b(?:guidelines?|rationale|verdicts?|reviewers?|classifiers?|assistants?|chat ?bots?|bots?"
    r"|AIs?|language models?|safety (?:system|model|team|expert)|parsers?)\b"
    r"|\byou(?:'re| are) (?:now |from now on )?(?:an? |the |my )?\w+|\bfrom now on\b"
    r"|\b(?:pretend|act as|speak as|imagine|simulate|improvis\w+|role|play (?:a|an|the)"
    r"|take the part|be (?:a|an|the|my) \w+)\b|\brepeat\b",
    re.IGNORECASE,
)
RULES_VERSION = hashlib.sha256("\n".join((_LEAK.pattern, _HIJACK.pattern)).encode()).hexdigest()[:8]
"""Changes with the tripwire: what was measured with another one is measured anew."""


def override_detection(found: Detection, text: str) -> Detection:
    """Returns the detection, made unsafe where the input orders its reader to break the rules.

    A rationale in the prompt's own words is replaced as well: the input has got it out.
    """
    names: list[RiskName] = []
    if _LEAK.search(text):
        names.append("Prompt_Leaking")
    if _HIJACK.search(text):
        names.append("Goal_Hijacking")
    leaked = repeats_prompt(found.rationale) is not None
    if leaked and "Prompt_Leaking" not in names:
        names.append("Prompt_Leaking")
    if not names or (found.unsafe and not leaked):
        return found
    return Detection(
        rationale="Rule: it gives orders to whoever reads it, to drop or reveal instructions.",
        unsafe_content=False,
        may_trigger_unsafe=True,
        categories=names,
        severity=1,
    )


def speaks_to_reader(text: str) -> bool:
    """Whether an input may address the model that reads it as data; the net is wide on purpose."""
    return any(p.search(text) for p in (_LEAK, _HIJACK, _SPEAKS_TO_READER))
