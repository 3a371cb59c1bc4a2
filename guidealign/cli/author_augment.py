"""`guidealign author augment`: grow the inputs of thinly covered categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from guidealign.cli._shared import console, data, print_figures, print_json, progress

if TYPE_CHECKING:
    from guidealign.authoring import AugmentResult

_WHY = {
    "target": "has what it should have",
    "yield": "the model had nothing new to say",
    "budget": "the budget is spent",
    "no_seeds": "no inputs to start from",
}


def add_augment_command(app: typer.Typer) -> None:
    """Gives an application the command `augment`."""
    app.command()(augment)


def augment(
    category: Annotated[
        list[str] | None, typer.Option(help="Grow this one; may be repeated. None: every risk.")
    ] = None,
    target: Annotated[
        int | None,
        typer.Option(min=1, help="Inputs a category should have; none: augment.target_inputs."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what is missing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Have the safety model write new inputs for categories that have too few.

    A run that was stopped goes on when the same is asked for again.
    """
    from guidealign.authoring import augment_inputs, plan_augmentation

    services = data()
    if dry_run:
        plan = plan_augmentation(categories=category or (), target=target, **services)
        if as_json:
            print_json(plan)
        else:
            print_figures(plan or {"missing": 0})
        return
    with progress() as report:
        done = augment_inputs(categories=category or (), target=target, progress=report, **services)
    if as_json:
        print_json(done.as_dict())
    elif done.run_id is None:
        console.print("nothing is missing: every category has what it should have")
    else:
        _show(done)


def _show(done: AugmentResult) -> None:
    table = Table("category", "wanted", "kept", "stopped because")
    for name, n_wanted in done.wanted.items():
        why = _WHY[done.stopped[name]]
        table.add_row(name, str(n_wanted), str(done.kept[name]), why)
    console.print(table)
    print_figures(
        {"answers": done.n_answers, "tokens": done.n_tokens, "rejected": done.n_rejected}
        | {f"  {reason}": n for reason, n in done.rejected.items()}
    )
