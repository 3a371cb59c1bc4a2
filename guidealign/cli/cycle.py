"""`guidealign cycle`: a whole cycle or one of its stages, in Airflow or in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from guidealign.cli._shared import AsJson, console, data, print_figures, print_json
from guidealign.cli.inputs import Format, TextField
from guidealign.cycle import STAGES, Stage, digests, open_services
from guidealign.errors import BadInputError, ServiceUnavailableError
from guidealign.settings import Settings, load_settings

cycle_app = typer.Typer(
    help="Run one whole cycle of continual alignment, or with a command one of its stages.",
    invoke_without_command=True,
)

Inputs = Annotated[
    Path | None,
    typer.Option(
        help="JSONL, JSON, CSV or Parquet, a folder or a pattern; default: the setting"
        " ingest.source."
    ),
]
Until = Annotated[str | None, typer.Option(help="Stop behind this step.")]
StalledS = Annotated[
    float, typer.Option(min=60, help="Give up following when nothing moves for so long.")
]


def source_params(inputs: Path | None, text_field: str, input_format: str | None) -> dict[str, Any]:
    """Params of the ingest stage for a file; none: what the settings say.

    Raises:
        BadInputError: there is no such file, or no such format.
    """
    if inputs is None:
        return {}
    from guidealign.ingest import file_sources

    sources = file_sources(inputs, kind=input_format)
    path = sources[0].uri if inputs.is_file() else str(inputs.expanduser().absolute())
    return {"path": path, "query": "", "inbox": False, "format": input_format or "",
            "text_field": text_field}  # fmt: skip


@cycle_app.callback()
def cycle(
    context: typer.Context,
    here: Annotated[bool, typer.Option("--here", help="In this process, without Airflow.")] = False,
    inputs: Inputs = None,
    text_field: TextField = "text",
    input_format: Format = None,
    stalled_s: StalledS = 1_800.0,
) -> None:
    """Run one whole cycle, through the scheduler or here, and follow it to its end."""
    if context.invoked_subcommand is not None:
        return
    settings, source = load_settings(), source_params(inputs, text_field, input_format)
    if not here:
        from guidealign.cli.run import run_cycle

        run_cycle(settings, source, console=console, stalled_s=stalled_s)
        return
    from guidealign.cli._here import run_here
    from guidealign.cli._summary import print_summary

    _require_services(settings)
    begun = time.monotonic()
    done = run_here(STAGES, open_services(settings), {"ingest": source}, console=console)
    print_summary(done, settings, console, elapsed_s=time.monotonic() - begun)


def _require_services(settings: Settings) -> None:
    """All at once and in front: a cycle that lacks something would find out an hour later."""
    from guidealign.platform import check_services

    wrong = [found for found in check_services(settings) if found.level == "fail"]
    if wrong:
        said = "; ".join(f"{found.about}: {found.detail}" for found in wrong)
        raise ServiceUnavailableError(f"{said} (`guidealign up` starts what is missing)")


def _run_stage(stage: Stage, params: Mapping[str, Any], until: str | None, as_json: bool) -> None:
    from guidealign.cli._here import run_here
    from guidealign.cli._summary import print_gate

    names = [step.name for step in stage.steps]
    if until is not None and until not in names:
        raise BadInputError(f"{stage.name} has no step {until!r}; it has {', '.join(names)}")
    only = names[: names.index(until) + 1] if until else names
    services = open_services(load_settings())
    # A document for programs is alone on stdout.
    shown = Console(stderr=True) if as_json else console
    (done,) = run_here((stage,), services, {stage.name: params}, only=only, console=shown)
    if as_json:
        print_json(done.result)
        return
    console.print(f"{stage.name}: {stage.summary(done.result)}", highlight=False, soft_wrap=True)
    if "gate" in done.result:
        print_gate(stage.name, done.result, console)


def _verb(stage: Stage) -> Callable[..., None]:
    def verb(until: Until = None, as_json: AsJson = False) -> None:
        _run_stage(stage, {}, until, as_json)

    def ingest(
        inputs: Inputs = None,
        text_field: TextField = "text",
        input_format: Format = None,
        as_json: AsJson = False,
    ) -> None:
        _run_stage(stage, source_params(inputs, text_field, input_format), None, as_json)

    return ingest if stage.reads is None else verb


for _stage in STAGES:
    _steps = ", ".join(step.name for step in _stage.steps)
    _help = f"{_stage.about} Here, without Airflow, step by step: {_steps}."
    cycle_app.command(_stage.name, help=_help)(_verb(_stage))


@cycle_app.command("digests")
def show_digests(as_json: AsJson = False) -> None:
    """Show what the last cycle made as digests: library, pairs, aligned data set."""
    found = digests(engine=data()["engine"]).as_dict()
    if as_json:
        print_json(found)
    else:
        print_figures({name: value or "none yet" for name, value in found.items()})
