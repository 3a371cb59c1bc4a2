"""Reads the starter library's files as plain data: the library's own room imports this one."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Literal

import yaml


def read_starter_file(folder: Literal["library", "benchmark"], category: str) -> dict[str, Any]:
    """Reads the file of one category."""
    file = files("guidealign") / "starter" / folder / f"{category}.yaml"
    return dict(yaml.safe_load(file.read_text(encoding="utf-8")))
