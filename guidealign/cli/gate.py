"""`guidealign gate`: results of other tools before the gates, without the platform."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guidealign.cli._shared import AsJson, console, print_json
from guidealign.errors import BadInputError

if TYPE_CHECKING:
    from guidealign.gates import OutsideDecision

EXITS = {"promote": 0, "reject": 3, "inconclusive": 4, "hold": 5}
"""By verdict; 2 is an error of the input, as everywhere."""


_OF_THE_QUESTION = ("metric", "must", "lower_is_better", "margin", "effect", "level")
"""Options of the one question that is asked without a policy."""


def gate(
    context: typer.Context,
    baseline: Annotated[Path, typer.Option(help="Results of what is in use.")],
    candidate: Annotated[Path, typer.Option(help="Results of what may replace it.")],
    policy: Annotated[
        Path | None, typer.Option(help="A policy file (docs/gates.md); none: the options below.")
    ] = None,
    anchor: Annotated[
        Path | None, typer.Option(help="Results of the policy's anchor, where it has one.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="Without a policy: which score; none: the only one.")
    ] = None,
    must: Annotated[str, typer.Option(help="be_better or not_be_worse.")] = "be_better",
    lower_is_better: Annotated[bool, typer.Option("--lower-is-better")] = False,
    margin: Annotated[float, typer.Option(min=0)] = 0.0,
    effect: Annotated[
        float, typer.Option(min=0.000001, help="be_better: smallest gain beyond the margin.")
    ] = 0.05,
    level: Annotated[float, typer.Option(min=0.0001, max=0.49, help="One-sided.")] = 0.025,
    look: Annotated[
        int, typer.Option(min=1, help="How often this baseline was compared, now included.")
    ] = 1,
    anchor_look: Annotated[
        int, typer.Option(min=1, help="How often the anchor was, over all baselines.")
    ] = 1,
    html: Annotated[Path | None, typer.Option(help="Write the decision as a page here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two files of results with the gates' tests, and say so by the exit code.

    Reads logs of inspect_ai, samples of lm-eval, output of promptfoo, evaluation tables of MLflow,
    and JSONL, JSON or Parquet rows with `case` and `score`. Exit code 0: promote, 3: reject, 4:
    inconclusive, 5: hold, 2: the input is wrong.
    """
    from guidealign.gates import Question, compare_files, outside_page
    from guidealign.settings import GateSettings

    if must not in {"be_better", "not_be_worse"}:
        raise BadInputError(f"--must is be_better or not_be_worse, not {must}")
    if policy is not None:
        _refuse_ignored(context)
    decision = compare_files(
        baseline,
        candidate,
        policy=policy,
        anchor=anchor,
        question=Question(
            metric=metric,
            must=must,
            direction="lower_is_better" if lower_is_better else "higher_is_better",
            margin=margin,
            effect=effect,
            level=level,
        ),
        settings=GateSettings(),
        look=look,
        anchor_look=anchor_look,
    )
    if html is not None:
        html.write_text(outside_page(decision), encoding="utf-8")
    if as_json:
        print_json(decision.as_dict())
    else:
        _show(decision)
    raise typer.Exit(EXITS[decision.verdict])


def _refuse_ignored(context: typer.Context) -> None:
    given = [
        "--" + name.replace("_", "-")
        for name in _OF_THE_QUESTION
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    ]
    if given:
        raise BadInputError(f"--policy says what is asked: leave out {', '.join(given)}")


def _show(decision: OutsideDecision) -> None:
    console.print(f"{decision.verdict}: {decision.reason}", highlight=False, markup=False)
    for check in decision.evidence:
        if check.difference is None:
            continue
        console.print(
            f"  {check.name}: {check.outcome}, {check.champion_mean:.3f} to"
            f" {check.challenger_mean:.3f}, gain {check.difference:+.3f} [{check.ci_low:+.3f},"
            f" {check.ci_high:+.3f}], n {check.n}, power {check.power:.2f}",
            highlight=False,
            markup=False,
        )
