"""`guidealign replay`: whose guidelines a candidate release would change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from guidealign.cli._shared import actor, console, data, print_json, progress
from guidealign.cli.canary import Library, Policy, Retriever, chosen_candidate
from guidealign.settings import home_folder

if TYPE_CHECKING:
    from guidealign.replay import Replay

_SHOWN = 8


def replay(
    file: Annotated[
        Path | None, typer.Argument(help="JSONL of requests; default: what the gateway logged.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most requests; of the log the newest.")] = (
        10_000
    ),
    library: Library = None,
    retriever: Retriever = None,
    policy: Policy = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report and page; default: in the home folder.")
    ] = None,
    declare: Annotated[
        str | None, typer.Option(help="Have the gateway try the candidate then; the reason why.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report on stdout.")] = False,
) -> None:
    """Run recorded requests under a candidate release, beside what is live; no model is asked."""
    from guidealign.db import PinnedVersions
    from guidealign.guidance import declare_canary
    from guidealign.registry import Registry
    from guidealign.replay import (
        keep_replay,
        prepare_candidate,
        recorded_in_file,
        recorded_in_inbox,
        run_replay,
    )
    from guidealign.serving import make_loader

    given = data()
    engine, settings = given["engine"], given["settings"]
    if file is None:
        requests = recorded_in_inbox(engine, limit=limit)
    else:
        requests = recorded_in_file(file, limit=limit)
    candidate = chosen_candidate(library, retriever, policy)
    registry = Registry.of(settings.mlflow, PinnedVersions(engine))
    prepare_candidate(candidate, registry=registry, **given)
    with progress() as report:
        result = run_replay(
            requests, candidate, engine=engine, load=make_loader(settings), report=report
        )
    number = keep_replay(result, engine=engine, actor=actor())
    place = _write(result, number, out or home_folder() / "replays")
    if as_json:
        print_json(result.as_dict())
    else:
        _print(result)
        console.print(f"replay {number}: {place}", highlight=False, soft_wrap=True)
    if declare is not None:
        canary = declare_canary(candidate, engine=engine, actor=actor(), reason=declare)
        console.print(f"canary {canary} is tried from now on", highlight=False)


def _write(result: Replay, number: int, folder: Path) -> Path:
    from guidealign.replay import replay_page

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = folder / f"replay-{number}.html"
    target.write_text(replay_page(result), encoding="utf-8")
    content = json.dumps(result.as_dict(), indent=2, ensure_ascii=False)
    target.with_suffix(".json").write_text(content + "\n", encoding="utf-8")
    return target


def _print(result: Replay) -> None:
    from guidealign.replay import replay_summary

    table = Table(show_header=False)
    for name, value in replay_summary(result):
        table.add_row(name, escape(value))
    console.print(table)
    moved = Table("guideline", "title", "category", "requests")
    for sign, name in (("+", "added"), ("-", "removed")):
        for g in result.figures[name]["most"][:_SHOWN]:
            moved.add_row(
                f"{sign}{g['id']}", escape(g["title"]), g["category"], str(g["n_requests"])
            )
    if moved.row_count:
        console.print(moved)
