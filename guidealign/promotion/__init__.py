"""The switch: which versions are served, moved only with a gate, a person or a reason."""

from guidealign.promotion.reconcile import reconcile
from guidealign.promotion.switch import (
    SwitchResult,
    adopt_library,
    decide_and_switch,
    follow_judgement,
    rollback,
)

__all__ = [
    "SwitchResult",
    "adopt_library",
    "decide_and_switch",
    "follow_judgement",
    "reconcile",
    "rollback",
]
