"""The only door to MLflow."""

from guidealign.registry._run import Run
from guidealign.registry.client import Registry

__all__ = ["Registry", "Run"]
