"""The library at scale: load, search, merge, growth, and everything at once.

Peers are measured on the same work in the same run; `--scale small` is the same at a tenth.
"""

from __future__ import annotations

from rich.console import Console

from benchmarks._bulk import measure_bulk
from benchmarks._library_growth_plot import plot_growth
from benchmarks._library_merge import measure_fuzzy, measure_merge
from benchmarks._library_search import growth_figures, measure_growth, measure_search
from benchmarks._library_traffic import measure_traffic
from benchmarks._report import publish, scale_of_command_line
from guidealign.platform import temporary_postgres

_PAPER = 767_207
"""Guidelines of the paper before de-duplication; 33 thousand are kept."""
_PER_ORIGINAL = 23

console = Console(stderr=True)


def main() -> None:
    scale = scale_of_command_line()
    full = scale == "full"
    figures = []
    with temporary_postgres() as url:
        _say("bulk load")
        figures += measure_bulk(url, 100_000 if full else 10_000, rounds=3 if full else 1)
        _say("search")
        figures += measure_search(url, 100_000 if full else 10_000, n_queries=500 if full else 100)
        _say("merge")
        figures += measure_merge(url, 100_000 if full else 10_000, n_new=20_000 if full else 2_000)
        _say("everything at once")
        figures += measure_traffic(url, 30_000 if full else 5_000, seconds=60.0 if full else 15.0)
        _say("growth")
        sizes = [10_000, 100_000, 1_000_000] if full else [1_000, 10_000]
        points = measure_growth(url, sizes, n_queries=1_000 if full else 200)
        figures += growth_figures(points)
    _say("the paper's scale")
    figures += measure_fuzzy(
        _PAPER if full else 20_000, _PER_ORIGINAL, n_checked=20_000 if full else 2_000
    )
    publish("library", scale, figures)
    if full:
        plot_growth(points)


def _say(what: str) -> None:
    console.print(f"library: {what}", highlight=False)


if __name__ == "__main__":
    main()
