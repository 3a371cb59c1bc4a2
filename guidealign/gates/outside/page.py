"""A decision on results of other tools as one HTML file that loads nothing and runs nothing."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Template
from markupsafe import Markup

from guidealign.gates.interval_chart import CheckInterval, draw_intervals
from guidealign.gates.model import CheckResult
from guidealign.gates.outside.compare import OutsideDecision
from guidealign.gates.templates import templates_in


def outside_page(decision: OutsideDecision) -> str:
    """The page of a decision."""
    return _template().render(d=decision)


def _draw(check: CheckResult) -> Markup:
    return draw_intervals([CheckInterval.of(check)], named=False)


def _number(value: float | None, form: str = "+.3f") -> str:
    return "-" if value is None else format(value, form)


@cache
def _template() -> Template:
    made = templates_in(Path(__file__).parent / "templates")
    made.filters["number"] = _number
    made.globals["draw"] = _draw
    return made.get_template("outside.html")
