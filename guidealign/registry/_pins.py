"""Who tells what was registered."""

from __future__ import annotations

from typing import Protocol


class Pins(Protocol):
    """What an installation registered, told by something that MLflow's users cannot write."""

    def digest(self, model_name: str, version: int) -> str | None:
        """SHA-256 (hex) of a version's manifest; None: it is unknown."""

    def pin(self, model_name: str, version: int, digest: str) -> None:
        """Writes down what was registered, once."""
