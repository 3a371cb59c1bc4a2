"""A benchmark in parts: each can be measured anew while the other figures stay as they are."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Collection, Mapping

from rich.console import Console

from benchmarks._harness.report import RESULTS, Figure, publish
from guidealign.platform import temporary_postgres

Measure = Callable[[bool], list[Figure]]
"""Measures a part; whether in full."""


def with_postgres(part: Callable[[str, bool], list[Figure]]) -> Measure:
    """A part that is given the URL of a server of its own."""

    def measure(full: bool) -> list[Figure]:
        with temporary_postgres() as url:
            return part(url, full)

    return measure


def run_parts(area: str, parts: Mapping[str, Measure], on_demand: Collection[str] = ()) -> None:
    """The command line of a benchmark: `--scale full|small`, `--part NAME` as often as wanted.

    Args:
        area: names the file of results.
        parts: by the word, before the colon, with which a part's figures begin.
        on_demand: parts that are measured only where they are named.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", choices=["full", "small"], default="full")
    parser.add_argument("--part", choices=list(parts), action="append")
    given = parser.parse_args()
    full = given.scale == "full"
    wanted = given.part or [part for part in parts if part not in on_demand]
    known = _known(area) if full else {}
    figures = {name: old for name, old in known.items() if given.part or name not in wanted}
    for part in wanted:
        Console(stderr=True).print(f"{area}: {part}", highlight=False)
        figures[part] = parts[part](full)
        # After each part: what comes later may take long.
        ordered = [figure for name in parts for figure in figures.get(name, [])]
        publish(area, given.scale, ordered)


def _known(area: str) -> dict[str, list[Figure]]:
    """What an earlier run has measured, by part."""
    file = RESULTS / f"{area}.json"
    known: dict[str, list[Figure]] = {}
    if file.exists():
        for entry in json.loads(file.read_text(encoding="utf-8"))["figures"]:
            known.setdefault(entry["figure"].partition(":")[0], []).append(Figure(**entry))
    return known
