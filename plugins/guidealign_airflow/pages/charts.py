"""Charts that follow the page's colours and width; each has its figures in words beside it."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

_ROW = 26.0
_EDGE = 2.0
"""Per cent of the plot that stay free on either side."""


def lines(points: Sequence[tuple[str, float]], unit: str) -> Markup:
    """One figure over time, as steps; nothing where there are fewer than two points."""
    if len(points) < 2:
        return Markup()
    top = max(value for _, value in points) or 1.0
    bottom, height = 150.0, 178.0
    step = (100 - 2 * _EDGE) / (len(points) - 1)

    def y(value: float) -> float:
        return bottom - 130 * value / top

    at = [(_EDGE + step * i, y(value)) for i, (_, value) in enumerate(points)]
    path = " ".join(f"{x:.2f},{y:.1f}" for x, y in at)
    plot = [
        f'<line class="axis" x1="0" x2="100%" y1="{bottom}" y2="{bottom}"/>'
        f'<text x="0" y="{y(top) - 6}">{top:,.0f}</text>'
        f'<text x="0" y="{height - 8}">{escape(points[0][0])}</text>'
        f'<text x="100%" y="{height - 8}" text-anchor="end">{escape(points[-1][0])}</text>'
        # Only a picture of its own can be stretched in one direction.
        f'<svg width="100%" height="{height}" viewBox="0 0 100 {height}"'
        f' preserveAspectRatio="none"><polyline points="{path}"/></svg>'
    ]
    plot += [
        f'<circle cx="{x:.2f}%" cy="{y:.1f}" r="3">'
        f"<title>{escape(name)}: {value:,.0f} {escape(unit)}</title></circle>"
        for (x, y), (name, value) in zip(at, points, strict=True)
    ]
    first, last = points[0], points[-1]
    label = f"{unit}: {first[1]:,.0f} at {first[0]}, {last[1]:,.0f} at {last[0]}"
    return _chart(plot, height, label, "lines")


def stacks(rows: Sequence[tuple[str, Sequence[tuple[str, int]]]]) -> Markup:
    """Bars made of named parts, one below the other, on one scale."""
    top = max((sum(n for _, n in parts) for _, parts in rows), default=0) or 1
    plot = []
    for i, (name, parts) in enumerate(rows):
        at, y = 0.0, _ROW * i
        told = ", ".join(f"{n:,} {part}" for part, n in parts if n) or "none"
        plot.append(f"<g><title>{escape(name)}: {escape(told)}</title>")
        for part, n in parts:
            # What is left of the whole is for the figure beside the longest bar.
            size = 80 * n / top
            plot.append(
                f'<rect class="{escape(part)}" x="{at:.2f}%" y="{y + 4}" width="{size:.2f}%"'
                f' height="{_ROW - 8}"/>'
            )
            at += size
        total = sum(n for _, n in parts)
        plot.append(f'<text x="{at:.2f}%" dx="6" y="{y + 17}">{total:,}</text></g>')
    names = [name for name, _ in rows]
    label = "Guidelines of each category by state"
    return _chart(plot, _ROW * len(rows), label, "stacks", names=names)


def _chart(
    plot: Sequence[str], height: float, label: str, kind: str, names: Sequence[str] = ()
) -> Markup:
    """As wide as there is room: what is drawn is placed in per cent, what is written is not scaled.

    Args:
        plot: what is right of the names.
        height: in pixels.
        label: the figures in words.
        kind: a class of the style sheet.
        names: of the rows.
    """
    written = "".join(f'<div title="{escape(name)}">{escape(name)}</div>' for name in names)
    beside = f'<div class="names">{written}</div>' if names else ""
    return Markup(  # noqa: S704 - every text in it went through escape
        f'<div class="chart {kind}" role="img" aria-label="{escape(label)}">{beside}'
        f'<svg height="{height:.0f}">{"".join(plot)}</svg></div>'
    )
