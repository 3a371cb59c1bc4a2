"""Whether a guideline demands or forbids: for finding contradictions."""

from __future__ import annotations

import re

_FORBIDS = re.compile(
    r"^(do not|don't|never|avoid|refrain|decline|refuse|reject|withhold|stop|resist|"
    r"must not|should not)\b",
    re.IGNORECASE,
)


def forbids(text: str) -> bool:
    """Whether the leading verb is a refusal or a prohibition."""
    return bool(_FORBIDS.match(text.strip()))


def may_contradict(left: str, right: str) -> bool:
    """Whether one demands while the other forbids; about the same topic, that is a conflict."""
    return forbids(left) != forbids(right)
