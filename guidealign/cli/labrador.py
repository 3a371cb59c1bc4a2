"""Fine-tunes Labrador without the scheduler, or says what that will take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from guidealign.cli._shared import console, data, print_figures, print_json
from guidealign.cycle import open_services
from guidealign.settings import load_settings

if TYPE_CHECKING:
    from guidealign.labrador import Estimate


def labrador(
    dataset: Annotated[int | None, typer.Option(help="Aligned data set; default: newest.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it will take, and train nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Fine-tune the base on guided answers and register the result as challenger."""
    if dry_run:
        from guidealign.labrador import estimate_training

        estimate = estimate_training(dataset_id=dataset, **data())
        if as_json:
            print_json(estimate.as_dict())
        else:
            _print(estimate)
        if not estimate.fits:
            raise typer.Exit(1)
        return
    from guidealign.labrador import train_labrador

    services = open_services(load_settings())
    result = train_labrador(dataset_id=dataset, **services.all()).as_dict()
    if as_json:
        print_json(result)
    else:
        metrics = result.pop("metrics")
        print_figures({**result, **metrics})


def _print(estimate: Estimate) -> None:
    e = estimate
    cut = f", {e.n_truncated} cut, {e.n_dropped} left out" if e.n_truncated + e.n_dropped else ""
    console.print(f"examples    {e.n_examples}{cut}", highlight=False)
    share = e.trained_parameters / e.parameters
    console.print(
        f"parameters  {e.parameters / 1e6:.0f} million, {e.trained_parameters / 1e6:.2f} million"
        f" trained ({share:.2%})",
        highlight=False,
    )
    console.print(
        f"steps       {e.steps} of {e.tokens_per_step:.0f} padded tokens", highlight=False
    )
    console.print(
        f"memory      {e.memory_gb:.1f} GB at the peak; {e.memory_free_gb:.1f} GB are free",
        highlight=False,
    )
    if e.train_seconds is None or e.load_seconds is None:
        console.print(
            "time        not measured: it does not fit. Set a smaller LABRADOR__MAX_LENGTH or a"
            " smaller base",
            highlight=False,
        )
        return
    around = 3 * e.load_seconds
    console.print(
        f"time        {_minutes(e.train_seconds)} of training, about {_minutes(around)} to load,"
        " write and check",
        highlight=False,
    )
    console.print(f"checkpoint  {e.checkpoint_mb:.0f} MB on disk until it is done", highlight=False)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
