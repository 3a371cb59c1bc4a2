"""The retriever: what it serves with, and how fast.

`--scale small` is the same at a tenth; `--part` measures some parts anew and leaves the other
figures as they are.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

from rich.console import Console

from benchmarks._report import RESULTS, Figure, publish
from benchmarks._retriever_serving import measure_serving
from guidealign.platform import temporary_postgres

console = Console(stderr=True)


def _serving(url: str, full: bool) -> list[Figure]:
    return measure_serving(url, 100_000 if full else 10_000, n_queries=480 if full else 96)


# Named as the figures begin.
_PARTS: dict[str, Callable[[str, bool], list[Figure]]] = {"serving": _serving}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", choices=["full", "small"], default="full")
    parser.add_argument("--part", choices=list(_PARTS), action="append")
    given = parser.parse_args()
    figures = _known() if given.part and given.scale == "full" else {}
    for part in given.part or list(_PARTS):
        console.print(f"retriever: {part}", highlight=False)
        with temporary_postgres() as url:
            figures[part] = _PARTS[part](url, given.scale == "full")
        # After each part: what comes later may take long.
        ordered = [figure for name in _PARTS for figure in figures.get(name, [])]
        publish("retriever", given.scale, ordered)


def _known() -> dict[str, list[Figure]]:
    """What an earlier run has measured, by part."""
    file = RESULTS / "retriever.json"
    known: dict[str, list[Figure]] = {}
    if file.exists():
        for entry in json.loads(file.read_text(encoding="utf-8"))["figures"]:
            known.setdefault(entry["figure"].partition(":")[0], []).append(Figure(**entry))
    return known


if __name__ == "__main__":
    main()
