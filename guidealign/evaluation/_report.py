"""A decision as people read it: a table and a drawing of the intervals."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape

from guidealign.evaluation.model import CheckResult, GateDecision
from guidealign.evaluation.policy import GatePolicy

_WIDTH, _ROW, _LEFT, _RIGHT, _TOP = 860, 64, 300, 40, 96
_COLOURS = {"pass": "#1a7f4b", "fail": "#b3261e", "inconclusive": "#8a6100", "unusable": "#555"}


def decision_artifacts(decision: GateDecision, policy: GatePolicy) -> dict[str, str]:
    """File name to content, for the registry."""
    return {
        "gate/decision.json": json.dumps(decision.as_dict(), indent=2),
        "gate/policy.json": policy.model_dump_json(indent=2),
        "gate/report.md": _markdown(decision, policy),
        "gate/intervals.svg": draw_intervals(decision),
    }


def _markdown(decision: GateDecision, policy: GatePolicy) -> str:
    look = max((check.look for check in decision.evidence), default=1)
    lines = [
        f"# {decision.model_name} {decision.challenger_version}: {decision.verdict}",
        "",
        f"Against version {decision.champion_version}"
        + (" (the untrained base)." if decision.champion_version == 0 else "."),
        f"{decision.reason}.",
        "",
        f"Unit: {policy.unit}. Look {look} at this champion: it may spend a part of the level.",
        "",
        "| check | outcome | n (planned) | champion | challenger | gain | interval | bar | p"
        " | won, lost, tied | power | cases it takes |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_row(check) for check in decision.evidence]
    return "\n".join(lines) + "\n"


def _row(check: CheckResult) -> str:
    def number(value: float | None, form: str = "+.3f") -> str:
        return "-" if value is None else format(value, form)

    return (
        f"| {check.name} | {check.outcome} | {check.n} ({check.n_planned})"
        f" | {number(check.champion_mean)} | {number(check.challenger_mean)}"
        f" | {number(check.difference)} | [{number(check.ci_low)}, {number(check.ci_high)}]"
        f" | {check.bar:+.3g} | {number(check.p_adjusted, '.2g')}"
        f" | {check.wins}, {check.losses}, {check.ties}"
        f" | {number(check.power, '.2f')} | {number(check.needed_cases, ',d')} |"
    )


def draw_intervals(decision: GateDecision) -> str:
    """The intervals of all checks over one axis, as SVG."""
    checks = decision.evidence
    ends = [v for c in checks for v in (c.ci_low, c.ci_high) if v is not None]
    reach = (
        max(
            [abs(v) for v in ends] + [abs(c.bar) for c in checks] + [c.effect for c in checks],
            default=0.0,
        )
        * 1.15
        # All at zero: any reach draws them in the middle.
        or 1.0
    )
    height = _TOP + _ROW * len(checks) + 40

    def x(value: float) -> float:
        return _LEFT + (value + reach) / (2 * reach) * (_WIDTH - _LEFT - _RIGHT)

    title = f"{decision.model_name} {decision.challenger_version} against"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"'
        f' font-family="sans-serif" font-size="14"><title>Gate intervals</title>',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="20" y="32" font-size="18">{escape(title)} {decision.champion_version}:'
        f" {decision.verdict}</text>",
        f'<text x="20" y="56" fill="#555">difference in {escape(decision.unit)}</text>',
        f'<line x1="{x(0):.1f}" y1="{_TOP - 20}" x2="{x(0):.1f}" y2="{height - 30}"'
        ' stroke="#999" stroke-dasharray="4 4"/>',
        f'<text x="{x(0):.1f}" y="{height - 10}" text-anchor="middle" fill="#555">0</text>',
    ]
    parts += [_draw_check(c, _TOP + i * _ROW, x) for i, c in enumerate(checks)]
    return "\n".join([*parts, "</svg>"])


def _draw_check(check: CheckResult, y: int, x: Callable[[float], float]) -> str:
    colour = _COLOURS[check.outcome]
    label = (
        f'<text x="20" y="{y + 12}">{escape(check.name)}</text>'
        f'<text x="20" y="{y + 30}" fill="{colour}">{check.outcome}, n = {check.n}</text>'
    )
    if check.ci_low is None or check.ci_high is None or check.difference is None:
        return f'{label}<text x="{x(0):.1f}" y="{y + 16}" fill="{colour}">no interval</text>'
    low, high, mean = x(check.ci_low), x(check.ci_high), x(check.difference)
    bar = x(check.bar)
    return (
        f'{label}<line x1="{bar:.1f}" x2="{bar:.1f}" y1="{y - 4}" y2="{y + 32}" stroke="#444"/>'
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y + 14}" y2="{y + 14}" stroke="{colour}"'
        f' stroke-width="4"/><circle cx="{mean:.1f}" cy="{y + 14}" r="7" fill="{colour}"/>'
    )
