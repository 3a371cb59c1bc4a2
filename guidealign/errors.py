"""The error tree: the type says what a caller can do about it.

GuidealignError
├── TransientError            try again, after `retry_after_s` where it is given
│   ├── ServiceUnavailableError   a service did not answer (database, model server, MLflow)
│   └── RateLimitedError          a service asked us to slow down
└── PermanentError            trying again changes nothing
    ├── BadInputError             what a person gave us is wrong: file, format, option
    ├── ConfigurationError        a setting is missing or contradicts another
    ├── PlatformError             a local service could not be started or stopped
    ├── ModelOutputError          a model answered with something no repair made valid
    ├── IntegrityError            a digest, checksum or reload comparison does not match
    └── BudgetExceededError       a run's request or token budget is spent
"""

from __future__ import annotations

import traceback


class GuidealignError(Exception):
    """Root of every error guidealign raises on purpose.

    The message is one sentence for a person: what is wrong and what to do.
    """


class TransientError(GuidealignError):
    """Trying again later may work."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ServiceUnavailableError(TransientError):
    """A service did not answer."""


class RateLimitedError(TransientError):
    """A service asked for fewer requests."""


class PermanentError(GuidealignError):
    """Trying again changes nothing."""


class BadInputError(PermanentError):
    """A file, format or option that a person gave is wrong."""


class ConfigurationError(PermanentError):
    """A setting is missing, malformed or contradicts another."""


class PlatformError(PermanentError):
    """A service of the embedded platform could not be started or stopped."""


class ModelOutputError(PermanentError):
    """A model's answer does not fit its schema, also after the repair turn."""


class IntegrityError(PermanentError):
    """Content is not what its digest, checksum or comparison says it should be."""


class BudgetExceededError(PermanentError):
    """A run has spent the requests or tokens it was allowed."""


def places(error: BaseException) -> str:
    """The error's type and where it came from, for the log.

    Its words and the variables around it may hold what a user said, which no log may.
    """
    steps = traceback.extract_tb(error.__traceback__)
    where = " < ".join(f"{step.filename}:{step.lineno}" for step in reversed(steps))
    return f"{type(error).__name__} at {where}"
