"""How search, load and size grow with the library, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks._harness.report import ROOT

if TYPE_CHECKING:
    from benchmarks.library.search import Point

_FILE = ROOT / "docs" / "images" / "library-growth.svg"


def plot_growth(points: Sequence[Point]) -> None:
    """Writes the picture of docs/library.md."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    # The same bytes for the same figures.
    mpl.rcParams["svg.hashsalt"] = "guidealign"
    n = [p.n for p in points]
    figure, (search, build, disk) = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    search.plot(n, [p.p50_ms for p in points], marker="o", label="p50")
    search.plot(n, [p.p99_ms for p in points], marker="o", label="p99")
    search.set(title="search, top 6", ylabel="ms", ylim=(0, None))
    search.legend()
    build.plot(n, [p.fill_s for p in points], marker="o", label="rows and vectors")
    build.plot(n, [p.index_s for p in points], marker="o", label="index, with its check")
    build.set(title="building", ylabel="s", yscale="log")
    build.legend()
    below = [0.0] * len(points)
    for name in points[0].megabytes:
        heights = [p.megabytes[name] / p.n * 1_000 for p in points]
        disk.bar([f"{p.n:,}" for p in points], heights, bottom=below, label=name)
        below = [a + b for a, b in zip(below, heights, strict=True)]
    max_height = max(sum(p.megabytes.values()) / p.n for p in points) * 1_000
    disk.set(title="on disk", ylabel="kB a guideline", ylim=(0, 1.25 * max_height))
    disk.legend(ncols=3, loc="upper center", fontsize="small")
    for axis in (search, build):
        axis.set(xscale="log", xlabel="guidelines")
        axis.grid(alpha=0.3)
    disk.set_xlabel("guidelines")
    _FILE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(_FILE, metadata={"Date": None})
    plt.close(figure)
