"""`guidealign canary`: a candidate release on a share of conversations."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from guidealign.cli._shared import actor, console, data
from guidealign.cli._subject import registry_of
from guidealign.errors import BadInputError

canary_app = typer.Typer(
    help="A candidate release that the gateway tries on each key's `--canary` share.",
    no_args_is_help=True,
)

Reason = Annotated[str, typer.Option(help="Goes into the ledger.")]
Library = Annotated[int | None, typer.Option(help="Version; default: the newest.")]
Retriever = Annotated[
    int | None, typer.Option(help="Version; default: the challenger, or the live one.")
]
Policy = Annotated[
    str | None,
    typer.Option(
        help="Version of the guidance policy, or `proposed`: what the settings say; default: live."
    ),
]


@canary_app.command("set")
def set_(
    reason: Reason, library: Library = None, retriever: Retriever = None, policy: Policy = None
) -> None:
    """Declare a candidate; one that is tried already ends."""
    from guidealign.guidance import declare_canary

    candidate = chosen_candidate(library, retriever, policy)
    number = declare_canary(candidate, engine=data()["engine"], actor=actor(), reason=reason)
    console.print(
        f"canary {number}: library {candidate.library_version}, retriever"
        f" {candidate.retriever_version}, guidance policy {candidate.policy_version or 'as live'};"
        " `guidealign keys change ID --canary SHARE` lets a key take part",
        highlight=False,
    )


@canary_app.command()
def clear(reason: Reason) -> None:
    """End the candidate's trial."""
    from guidealign.guidance import clear_canary

    number = clear_canary(engine=data()["engine"], actor=actor(), reason=reason)
    console.print("no candidate is tried" if number is None else f"canary {number} has ended")


@canary_app.command("list")
def list_() -> None:
    """Show the candidates there were, the newest first."""
    from guidealign.guidance import list_canaries

    table = Table("canary", "library", "retriever", "policy", "state", "since", "by", "why")
    rows = list_canaries(engine=data()["engine"])
    for row in rows:
        table.add_row(
            str(row.canary_id), _shown(row.library_version), _shown(row.retriever_version),
            _shown(row.policy_version), row.state,
            f"{row.created_at:%Y-%m-%d %H:%M}", row.actor, row.reason,
        )  # fmt: skip
    console.print(table if rows else "no candidate was ever declared")


def chosen_candidate(library: int | None, retriever: int | None, policy: str | None) -> Any:
    """The candidate that was named, in parts or not at all.

    Raises:
        BadInputError: the policy is neither a number nor `proposed`.
    """
    from guidealign.guidance import Candidate
    from guidealign.replay import default_candidate

    given = data()
    version = _policy_version(policy, given)
    if library is None or retriever is None:
        registry = registry_of(given["settings"])
        usual = default_candidate(engine=given["engine"], registry=registry)
        library = usual.library_version if library is None else library
        retriever = usual.retriever_version if retriever is None else retriever
    return Candidate(library_version=library, retriever_version=retriever, policy_version=version)


def _policy_version(policy: str | None, given: dict[str, Any]) -> int | None:
    from guidealign.promotion import store_proposal

    if policy is None:
        return None
    if policy == "proposed":
        return store_proposal(actor=actor(), **given)
    if not policy.isdecimal():
        raise BadInputError(f"--policy takes a version or `proposed`, not {policy!r}")
    return int(policy)


def _shown(value: int | None) -> str:
    return "" if value is None else str(value)
