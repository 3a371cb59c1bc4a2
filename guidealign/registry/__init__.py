"""The only door to MLflow."""

from guidealign.registry._alias_polling import poll_alias_version
from guidealign.registry._cases import Assessment, EvaluatedCase
from guidealign.registry._interface import Interface
from guidealign.registry._run import Run
from guidealign.registry._trace import Step, TimedTrace
from guidealign.registry.client import Registry

__all__ = [
    "Assessment",
    "EvaluatedCase",
    "Interface",
    "Registry",
    "Run",
    "Step",
    "TimedTrace",
    "poll_alias_version",
]
