"""Answers that people labelled, from PyRIT's scorer evaluations, where a copy is at hand."""

from __future__ import annotations

import csv
from pathlib import Path


def pyrit_rows(folder: Path, pattern: str) -> list[dict[str, str]]:
    """Rows of its files of a pattern, by the names in their headers; lines of comment are left out.

    Args:
        folder: with the benchmarks' data (`evaluation.data_folder`).
        pattern: of files' names.
    """
    found: list[dict[str, str]] = []
    for file in sorted((folder / "pyrit_scorer_evals").glob(pattern)):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        found += csv.DictReader(line for line in lines if not line.startswith("#"))
    return found
