"""The quality filter of written guidelines, and the tripwire for inputs that give orders."""

from guidealign.authoring.quality.filter import FILTER_RULES, check_guideline, stopped_example
from guidealign.authoring.quality.form_rules import copied_example, injected
from guidealign.authoring.quality.injection_tripwire import RULES_VERSION, override_detection
from guidealign.authoring.quality.leakage import repeats_prompt

__all__ = [
    "FILTER_RULES",
    "RULES_VERSION",
    "check_guideline",
    "copied_example",
    "injected",
    "override_detection",
    "repeats_prompt",
    "stopped_example",
]
