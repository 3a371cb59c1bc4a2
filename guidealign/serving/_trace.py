"""Where an unexpected error happened, for the log: places, and no values."""

from __future__ import annotations

import traceback


def places(error: BaseException) -> str:
    """The error's type and where it came from.

    Its words and the variables around it may hold what a user said, which no log may.
    """
    steps = traceback.extract_tb(error.__traceback__)
    where = " < ".join(f"{step.filename}:{step.lineno}" for step in reversed(steps))
    return f"{type(error).__name__} at {where}"
