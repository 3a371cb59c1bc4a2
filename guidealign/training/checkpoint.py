"""Keeps where a training stands, so that a killed one goes on."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import structlog

_FILE = "last.pt"
_UNREADABLE = (OSError, EOFError, LookupError, RuntimeError, ValueError, pickle.PickleError)
"""What torch says of a torn file depends on what its bytes happen to mean."""

log = structlog.get_logger()


class Checkpoint:
    """One training's folder; its file is whole or not there.

    Args:
        folder: of this training alone: another one's weights would be taken for its own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, state: dict[str, Any]) -> None:
        """Keeps tensors and plain values in place of what was kept before."""
        import torch

        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f".{_FILE}.part"
        torch.save(state, part)
        part.replace(self._folder / _FILE)

    def load(self) -> dict[str, Any] | None:
        """What was kept; None: nothing, or nothing that can be read."""
        import torch

        file = self._folder / _FILE
        if not file.exists():
            return None
        try:
            # Tensors and plain values alone: a checkpoint runs no code.
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        except _UNREADABLE as error:
            log.warning(
                "checkpoint unreadable, training begins anew", file=str(file), why=str(error)
            )
            return None
        return state

    def drop(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)
