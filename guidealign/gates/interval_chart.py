"""Draws the intervals of a gate's checks, for the registry and for pages of HTML.

Places are in per cent of the width and words are not scaled, so the picture reads on a telephone
too. Colours are the variables of the page around it; where there are none, those behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from guidealign.gates.model import CheckResult

_TITLE_HEIGHT, _AXIS_HEIGHT = 62, 24
_NAME_HEIGHT, _PLOT_HEIGHT, _BAR_HEIGHT = 20, 26, 16
_FILE, _IN_A_PAGE = 'xmlns="http://www.w3.org/2000/svg" width="860"', 'width="100%"'
_EDGE = 3.0
"""Per cent of the width that stay free on either side."""
_LABEL = 12.0
"""Per cent of the width that a bar's label takes on a telephone."""
_INK, _SOFT = "var(--text, #1b1f24)", "var(--soft, #57606a)"
_COLOURS = {
    "pass": "var(--good, #1a7f37)",
    "fail": "var(--bad, #b42318)",
    "inconclusive": "var(--warn, #8a5a00)",
}
_QUIET = "var(--quiet, #6b7480)"


@dataclass(frozen=True, kw_only=True)
class CheckInterval:
    """A check's gain with its interval; more is better. None: nothing was compared."""

    name: str
    outcome: str
    n: int | None
    gain: float | None
    low: float | None
    high: float | None
    bar: float | None = None
    """What the gain must be shown to lie above; None: not known."""

    @classmethod
    def of(cls, check: CheckResult) -> CheckInterval:
        """Of a check's result."""
        return cls(
            name=check.name,
            outcome=check.outcome,
            n=check.n,
            gain=check.difference,
            low=check.ci_low,
            high=check.ci_high,
            bar=check.bar,
        )

    def __str__(self) -> str:
        if self.gain is None or self.low is None or self.high is None:
            return "no interval: nothing was compared"
        bar = "" if self.bar is None else f", bar {self.bar:+.3g}"
        return f"gain {self.gain:+.3f}, interval {self.low:+.3f} to {self.high:+.3f}{bar}"


def draw_intervals(
    checks: Sequence[CheckInterval], *, named: bool = True, title: tuple[str, str] | None = None
) -> Markup:
    """The intervals one below the other over one axis, as SVG.

    Args:
        checks: in order.
        named: each with its name and outcome above it.
        title: and what is below it, of a picture that is a file of its own.
    """
    ends = [v for c in checks for v in (c.gain, c.low, c.high, c.bar) if v is not None]
    # All at zero: any reach draws them in the middle.
    reach = max(map(abs, ends), default=0.0) * 1.1 or 1.0
    top = _TITLE_HEIGHT if title else 4
    rows, y = [], top
    for check in checks:
        rows.append(_row(check, y, reach, named=named))
        y += _height(check, named=named)
    # Where every bar is zero, one label says both.
    zero = "0 = bar" if all(c.bar == 0 for c in checks) else "0"
    words = "; ".join(f"{c.name}: {c.outcome}, {c}" for c in checks)
    return Markup(  # noqa: S704 - every text in it went through escape
        f"<svg {_FILE if title else _IN_A_PAGE}"
        f' height="{y + _AXIS_HEIGHT}" role="img" aria-label="{escape(words)}"'
        f' style="font: 13px system-ui, sans-serif"><title>Gate intervals</title>'
        f"{_title(*title) if title else ''}"
        f'<line x1="50%" x2="50%" y1="{top}" y2="{y}" style="stroke: {_SOFT};'
        f' stroke-dasharray: 4 4"/>{"".join(rows)}'
        f"{_text(_EDGE, y + 17, 'worse', _SOFT)}{_text(50, y + 17, zero, _SOFT, 'middle')}"
        f"{_text(100 - _EDGE, y + 17, 'better', _SOFT, 'end')}</svg>"
    )


def _title(title: str, below: str) -> str:
    return (
        '<rect width="100%" height="100%" style="fill: var(--bg, #fff)"/>'
        f'<g style="font-size: 17px">{_text(_EDGE, 26, title, _INK)}</g>'
        f"{_text(_EDGE, 46, below, _SOFT)}"
    )


def _height(check: CheckInterval, *, named: bool) -> int:
    return _PLOT_HEIGHT + (_NAME_HEIGHT if named else 0) + (_BAR_HEIGHT if check.bar else 4)


def _row(check: CheckInterval, y: int, reach: float, *, named: bool) -> str:
    colour = _COLOURS.get(check.outcome, _QUIET)
    parts = [f"<title>{escape(check.name)}: {escape(str(check))}</title>"]
    if named:
        cases = "" if check.n is None else f", n = {check.n}"
        parts.append(_text(_EDGE, y + 15, check.name, _INK))
        parts.append(_text(100 - _EDGE, y + 15, check.outcome + cases, colour, "end"))
        y += _NAME_HEIGHT
    if check.gain is None or check.low is None or check.high is None:
        return f"<g>{''.join(parts)}{_text(_EDGE, y + 17, str(check), colour)}</g>"

    def x(value: float) -> float:
        return 50 + (50 - _EDGE) * value / reach

    low, high, middle = x(check.low), x(check.high), y + _PLOT_HEIGHT / 2
    if check.bar:
        bar = x(check.bar)
        parts.append(
            f'<rect x="{min(50, bar):.2f}%" width="{abs(bar - 50):.2f}%" y="{y}"'
            f' height="{_PLOT_HEIGHT}" style="fill: var(--margin, #e8ebef)"/>'
            f'<line x1="{bar:.2f}%" x2="{bar:.2f}%" y1="{y}" y2="{y + _PLOT_HEIGHT}"'
            f' style="stroke: {_INK}; stroke-width: 2"/>'
        )
        # The label leans away from zero, and does not run over the edge.
        leans_left = _LABEL < bar < 50 or bar > 100 - _LABEL
        anchor = "end" if leans_left else "start"
        parts.append(_text(bar, y + _PLOT_HEIGHT + 13, f"bar {check.bar:+.3g}", _SOFT, anchor))
    parts.append(
        f'<line x1="{low:.2f}%" x2="{high:.2f}%" y1="{middle}" y2="{middle}"'
        f' style="stroke: {colour}; stroke-width: 5; stroke-linecap: round"/>'
        f'<circle cx="{x(check.gain):.2f}%" cy="{middle}" r="6.5"'
        f' style="fill: {colour}; stroke: var(--bg, #fff); stroke-width: 2"/>'
    )
    return f"<g>{''.join(parts)}</g>"


def _text(x: float, y: float, words: str, colour: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.2f}%" y="{y}" text-anchor="{anchor}" style="fill: {colour}">'
        f"{escape(words)}</text>"
    )
