"""The abstention curve as a picture."""

from __future__ import annotations

from benchmarks._harness.report import ROOT
from guidealign.retriever.serving_form import ServingReport

_FILE = ROOT / "docs" / "images" / "retriever-abstention.svg"


def plot_abstention(report: ServingReport) -> None:
    """Writes the picture of docs/retriever.md."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    # The same bytes for the same figures.
    mpl.rcParams["svg.hashsalt"] = "guidealign"
    figure, (precision, coverage) = plt.subplots(
        1, 2, figsize=(9, 3.4), layout="constrained", sharex=True
    )
    named = {"probability of risk": report.risk, "cosine of the best guideline": report.cosine}
    for name, calibration in named.items():
        if calibration is None:
            continue
        recall = [point.recall for point in calibration.curve]
        precision.plot(recall, [point.precision for point in calibration.curve], label=name)
        coverage.plot(recall, [point.coverage for point in calibration.curve], label=name)
    for axis, title in ((precision, "of those given one, unsafe"), (coverage, "given one, of all")):
        axis.set(
            title=title, xlabel="unsafe inputs given an unsafe-topic guideline", ylim=(0, 1.02)
        )
        axis.axvline(0.95, color="grey", linestyle=":", linewidth=1)
        axis.grid(alpha=0.3)
    precision.set_ylabel("share")
    precision.legend(loc="lower left", fontsize="small")
    _FILE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(_FILE, metadata={"Date": None})
    plt.close(figure)
