"""Charts as SVG that follows the page's colours; each has its figures in words beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_WIDTH = 640.0
_LABEL = 220.0
_ROW = 26.0


@dataclass(frozen=True)
class Interval:
    """A difference with its interval; what lies right of zero speaks for the challenger."""

    name: str
    value: float
    low: float
    high: float
    outcome: str


def intervals(rows: Sequence[Interval]) -> Markup:
    """Differences with their intervals, one below the other, around zero."""
    if not rows:
        return Markup()
    ends = [abs(x) for row in rows for x in (row.low, row.high, row.value)]
    reach = max([*ends, 1e-9]) * 1.1
    middle, half = _LABEL + (_WIDTH - _LABEL) / 2, (_WIDTH - _LABEL) / 2 - 8

    def x(value: float) -> float:
        return middle + half * value / reach

    height = _ROW * len(rows) + 24
    parts = [
        f'<line class="axis" x1="{middle}" x2="{middle}" y1="0" y2="{height - 18}"/>'
        f'<text x="{middle}" y="{height - 4}" text-anchor="middle">equal</text>'
        f'<text x="{_WIDTH - 4}" y="{height - 4}" text-anchor="end">challenger better</text>'
    ]
    for i, row in enumerate(rows):
        y = _ROW * i + _ROW / 2
        told = f"{row.value:+.3f} [{row.low:+.3f}, {row.high:+.3f}]: {row.outcome}"
        parts.append(
            f'<g class="{escape(row.outcome)}"><title>{escape(row.name)}: {escape(told)}</title>'
            f'<text x="0" y="{y + 4}">{escape(_short(row.name))}</text>'
            f'<line x1="{x(row.low):.1f}" x2="{x(row.high):.1f}" y1="{y}" y2="{y}"/>'
            f'<circle cx="{x(row.value):.1f}" cy="{y}" r="4"/></g>'
        )
    label = "; ".join(f"{r.name} {r.value:+.3f} [{r.low:+.3f}, {r.high:+.3f}]" for r in rows)
    return _svg(parts, height, label, "intervals")


def lines(points: Sequence[tuple[str, float]], unit: str) -> Markup:
    """One figure over time, as steps; nothing where there are fewer than two points."""
    if len(points) < 2:
        return Markup()
    top = max(value for _, value in points) or 1.0
    left, bottom, height = 56.0, 150.0, 178.0
    step = (_WIDTH - left - 8) / (len(points) - 1)

    def y(value: float) -> float:
        return bottom - 130 * value / top

    path = " ".join(f"{left + step * i:.1f},{y(v):.1f}" for i, (_, v) in enumerate(points))
    parts = [
        f'<line class="axis" x1="{left}" x2="{_WIDTH}" y1="{bottom}" y2="{bottom}"/>'
        f'<text x="{left - 6}" y="{bottom}" text-anchor="end">0</text>'
        f'<text x="{left - 6}" y="{y(top) + 4}" text-anchor="end">{top:,.0f}</text>'
        f'<text x="{left}" y="{height - 8}">{escape(points[0][0])}</text>'
        f'<text x="{_WIDTH - 4}" y="{height - 8}" text-anchor="end">{escape(points[-1][0])}</text>'
        f'<polyline points="{path}"/>'
    ]
    parts += [
        f'<circle cx="{left + step * i:.1f}" cy="{y(value):.1f}" r="3">'
        f"<title>{escape(name)}: {value:,.0f} {escape(unit)}</title></circle>"
        for i, (name, value) in enumerate(points)
    ]
    first, last = points[0], points[-1]
    label = f"{unit}: {first[1]:,.0f} at {first[0]}, {last[1]:,.0f} at {last[0]}"
    return _svg(parts, height, label, "lines")


def stacks(rows: Sequence[tuple[str, Sequence[tuple[str, int]]]]) -> Markup:
    """Bars made of named parts, one below the other, on one scale."""
    top = max((sum(n for _, n in parts) for _, parts in rows), default=0) or 1
    width = _WIDTH - _LABEL - 60
    drawn = []
    for i, (name, parts) in enumerate(rows):
        at, y = _LABEL, _ROW * i
        told = ", ".join(f"{n:,} {part}" for part, n in parts if n) or "none"
        drawn.append(
            f"<g><title>{escape(name)}: {escape(told)}</title>"
            f'<text x="0" y="{y + 17}">{escape(_short(name))}</text>'
        )
        for part, n in parts:
            size = width * n / top
            drawn.append(
                f'<rect class="{escape(part)}" x="{at:.1f}" y="{y + 4}" width="{size:.1f}"'
                f' height="{_ROW - 8}"/>'
            )
            at += size
        total = sum(n for _, n in parts)
        drawn.append(f'<text x="{at + 6:.1f}" y="{y + 17}">{total:,}</text></g>')
    return _svg(drawn, _ROW * len(rows), "Guidelines of each category by state", "stacks")


def _svg(parts: Sequence[str], height: float, label: str, kind: str) -> Markup:
    return Markup(  # noqa: S704 - every text in it went through escape
        '<div class="scroll" tabindex="0" role="group" aria-label="Chart">'
        f'<svg class="chart {kind}" viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img"'
        f' aria-label="{escape(label)}">{"".join(parts)}</svg></div>'
    )


def _short(name: str) -> str:
    return name if len(name) <= 34 else name[:33] + "…"
