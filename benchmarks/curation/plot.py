"""The picture of docs/curation.md: what thresholds give, and where the labels lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks._harness.pairs import Measured, at_least, count
from benchmarks._harness.report import ROOT

FILE = ROOT / "docs" / "images" / "curation.svg"
# Okabe and Ito's colours: told apart with any kind of colour sight.
_STYLES = (
    ("different", "#999999", "."),
    ("related", "#E69F00", "^"),
    ("opposite", "#D55E00", "x"),
    ("duplicate", "#0072B2", "o"),
)


def draw(measured: Sequence[Measured], thresholds: tuple[float, float]) -> None:
    """Writes the picture: precision over recall, and cosine against wording by label."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    # Fixed ids and no date: the same figures give the same file.
    with mpl.rc_context({"svg.hashsalt": "guidealign", "font.size": 9}):
        figure, (curve, scatter) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
        _draw_curve(curve, measured, thresholds)
        _draw_scatter(scatter, measured, thresholds)
        FILE.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(FILE, facecolor="white", metadata={"Date": None})
        plt.close(figure)


def _draw_curve(axes: Any, measured: Sequence[Measured], thresholds: tuple[float, float]) -> None:
    cosine, wording = thresholds
    steps = [value / 100 for value in range(40, 99)]
    for label, colour, style, least, signs in (
        (f"cosine, wording >= {wording}, signs", "#0072B2", "-", wording, True),
        (f"cosine, wording >= {wording}", "#D55E00", "--", wording, False),
        ("cosine alone", "#999999", ":", 0.0, False),
    ):
        points = [count(at_least(c, least, signs=signs), measured) for c in steps]
        axes.plot(
            [p.recall for p in points], [p.precision for p in points], style, c=colour, label=label
        )
    at = count(at_least(cosine, wording), measured)
    axes.plot(at.recall, at.precision, "o", c="black", label=f"set: cosine >= {cosine}")
    axes.annotate(
        f"precision {at.precision:.3f}\nrecall {at.recall:.3f}",
        (at.recall, at.precision),
        xytext=(-90, -32),
        textcoords="offset points",
    )
    axes.set(
        xlabel="recall of duplicates",
        ylabel="precision",
        title="What a cosine threshold gives",
        xlim=(0, 1),
        ylim=(0.2, 1.03),
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")


def _draw_scatter(axes: Any, measured: Sequence[Measured], thresholds: tuple[float, float]) -> None:
    for label, colour, marker in _STYLES:
        own = [m for m in measured if m.pair.label == label]
        axes.scatter(
            [m.wording for m in own],
            [m.cosine for m in own],
            s=18,
            c=colour,
            marker=marker,
            alpha=0.75,
            linewidths=1,
            label=f"{label} ({len(own)})",
        )
    cosine, wording = thresholds
    axes.plot([wording, wording, 1], [1, cosine, cosine], c="black", lw=1, label="merged above")
    axes.set(
        xlabel="wording: edit similarity",
        ylabel="cosine of embeddings",
        title="Labelled pairs",
        xlim=(0.35, 1),
        ylim=(0, 1),
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
