"""One decision as one HTML file: nothing is loaded from elsewhere, and nothing in it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from jinja2 import Template
from markupsafe import Markup, escape
from sqlalchemy import Engine

from guidealign.evaluation._figures import read_figures
from guidealign.evaluation._templates import page_templates
from guidealign.evaluation.model import CheckResult

_WIDTH, _HEIGHT, _EDGE, _MIDDLE = 640.0, 84.0, 16.0, 34.0
_LABEL = 110.0
"""Room of a label at the size it has on a phone."""
_VERDICTS = {
    "promote": "is shown to be good enough to serve",
    "hold": "is held: something could not be compared",
    "inconclusive": "is held: the cases do not decide",
    "reject": "is rejected: it is shown to fall short",
}


def decision_page(decision_id: int, *, engine: Engine) -> str:
    """The page of a stored decision, from the database's figures alone.

    Raises:
        BadInputError: there is no such decision.
    """
    figures = read_figures(decision_id, engine=engine)
    return _template().render(f=figures, verdict_says=_VERDICTS.get(figures.verdict, ""))


def draw_check(check: CheckResult) -> Markup:
    """A check's interval over zero and its bar, with the margin between them shaded."""
    if check.difference is None or check.ci_low is None or check.ci_high is None:
        return Markup('<p class="soft">No interval: nothing was compared.</p>')
    ends = [check.ci_low, check.ci_high, check.difference, check.bar, check.effect]
    reach = max(abs(end) for end in ends) * 1.15 or 1.0

    def x(value: float) -> float:
        return _WIDTH / 2 + value / reach * (_WIDTH / 2 - _EDGE)

    zero, bar = x(0), x(check.bar)
    low, high, mean = x(check.ci_low), x(check.ci_high), x(check.difference)
    told = (
        f"gain {check.difference:+.3f}, interval {check.ci_low:+.3f} to {check.ci_high:+.3f},"
        f" bar {check.bar:+.3g}"
    )
    # Where the bar is zero, one label says both.
    names = [(zero, "0" if check.bar else "0 = bar", "axis")]
    names += [(bar, f"bar {check.bar:+.3g}", "bar")] if check.bar else []
    marks = "".join(
        f'<line class="{kind}" x1="{at:.1f}" x2="{at:.1f}" y1="8" y2="60"/>'
        f'<text x="{at:.1f}" y="78" text-anchor="{_anchor(at, zero, kind)}">{escape(name)}</text>'
        for at, name, kind in names
    )
    return Markup(  # noqa: S704 - numbers, and texts that went through escape
        f'<svg viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" class="{escape(check.outcome)}"'
        f' aria-label="{escape(told)}"><title>{escape(told)}</title>'
        f'<rect class="margin" x="{min(zero, bar):.1f}" y="8" width="{abs(bar - zero):.1f}"'
        f' height="52"/>{marks}'
        f'<line class="interval" x1="{low:.1f}" x2="{high:.1f}" y1="{_MIDDLE}" y2="{_MIDDLE}"/>'
        f'<circle cx="{mean:.1f}" cy="{_MIDDLE}" r="7"/></svg>'
    )


def _anchor(at: float, zero: float, kind: str) -> str:
    """Labels of zero and bar lean away from each other, and none runs over the edge."""
    if kind == "axis" or at < _LABEL:
        return "start"
    return "end" if at < zero or at > _WIDTH - _LABEL else "start"


def _number(value: float | None, form: str = "+.3f") -> str:
    return "-" if value is None else format(value, form)


def _moment(value: datetime | None) -> str:
    """UTC, to the minute."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if value else "-"


def _version(number: int) -> str:
    return "the untrained base" if number == 0 else f"version {number}"


@cache
def _template() -> Template:
    made = page_templates()
    made.filters |= {
        "number": _number,
        "moment": _moment,
        "version": _version,
        "named": lambda name: name.replace("_", " "),
    }
    made.globals["draw_check"] = draw_check
    return made.get_template("decision.html")
