"""Authoring: the chat client, the work queue, growth of inputs, the bundled model.

Peers are measured on the same work in the same run. `--scale small` is the same at a tenth;
`--part` measures some parts anew and leaves the other figures as they are.
"""

from __future__ import annotations

import argparse
import importlib
import json

from rich.console import Console

from benchmarks._report import RESULTS, Figure, publish

# Named as the figures begin; each module has `measure(full: bool) -> list[Figure]`.
_PARTS = {
    "client": "benchmarks._authoring_client",
    "queue": "benchmarks._authoring_queue",
    "growth": "benchmarks._authoring_growth",
}

console = Console(stderr=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", choices=["full", "small"], default="full")
    parser.add_argument("--part", choices=list(_PARTS), action="append")
    given = parser.parse_args()
    wanted = given.part or list(_PARTS)
    figures = _known() if given.part and given.scale == "full" else {}
    for part in wanted:
        console.print(f"authoring: {part}", highlight=False)
        figures[part] = importlib.import_module(_PARTS[part]).measure(given.scale == "full")
        # After each part: what comes later may take long.
        ordered = [figure for name in _PARTS for figure in figures.get(name, [])]
        publish("authoring", given.scale, ordered)


def _known() -> dict[str, list[Figure]]:
    """What an earlier run has measured, by part."""
    file = RESULTS / "authoring.json"
    known: dict[str, list[Figure]] = {}
    if file.exists():
        for entry in json.loads(file.read_text(encoding="utf-8"))["figures"]:
            known.setdefault(entry["figure"].partition(":")[0], []).append(Figure(**entry))
    return known


if __name__ == "__main__":
    main()
