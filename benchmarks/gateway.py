"""The gateway against direct calls, LiteLLM's proxy and NeMo Guardrails' server; a replay; a soak.

The upstream is a local stub; all peers run on the same machine in the same run. `--scale small` is
the same at a tenth; `--part` measures some parts anew and leaves the other figures as they are.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

from rich.console import Console

from benchmarks._gateway_bench import Sizes
from benchmarks._gateway_library import PAPERS
from benchmarks._gateway_replay import measure_replay
from benchmarks._gateway_soak import measure_soak
from benchmarks._gateway_speed import measure_latency, measure_stream, measure_throughput
from benchmarks._report import RESULTS, Figure, publish
from guidealign.platform import temporary_postgres

console = Console(stderr=True)


def _sizes(full: bool) -> Sizes:
    if full:
        return Sizes(guidelines=PAPERS, rounds=7, seconds=15.0)
    return Sizes(guidelines=PAPERS // 10, rounds=2, seconds=4.0)


def _latency(url: str, full: bool) -> list[Figure]:
    return measure_latency(url, _sizes(full))


def _stream(url: str, full: bool) -> list[Figure]:
    return measure_stream(url, _sizes(full))


def _throughput(url: str, full: bool) -> list[Figure]:
    return measure_throughput(url, _sizes(full))


def _soak(url: str, full: bool) -> list[Figure]:
    return measure_soak(url, 200_000 if full else 3_000)


def _replay(url: str, full: bool) -> list[Figure]:
    # The library in full either way: it is what a request is compared with.
    return measure_replay(url, PAPERS, 10_000 if full else 500)


# Named as the figures begin.
_PARTS: dict[str, Callable[[str, bool], list[Figure]]] = {
    "latency": _latency,
    "stream": _stream,
    "throughput": _throughput,
    "replay": _replay,
    "soak": _soak,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", choices=["full", "small"], default="full")
    parser.add_argument("--part", choices=list(_PARTS), action="append")
    given = parser.parse_args()
    wanted = given.part or list(_PARTS)
    figures = _known() if given.part and given.scale == "full" else {}
    for part in wanted:
        console.print(f"gateway: {part}", highlight=False)
        with temporary_postgres() as url:
            figures[part] = _PARTS[part](url, given.scale == "full")
        # After each part: what comes later may take long.
        ordered = [figure for name in _PARTS for figure in figures.get(name, [])]
        publish("gateway", given.scale, ordered)


def _known() -> dict[str, list[Figure]]:
    """What an earlier run has measured, by part."""
    file = RESULTS / "gateway.json"
    known: dict[str, list[Figure]] = {}
    if file.exists():
        for entry in json.loads(file.read_text(encoding="utf-8"))["figures"]:
            known.setdefault(entry["figure"].partition(":")[0], []).append(Figure(**entry))
    return known


if __name__ == "__main__":
    main()
