"""`guidealign guidance`: how guidelines are chosen and worded, and what the settings propose."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from guidealign.cli._shared import actor, console, data, print_json, services
from guidealign.cli.guidance_measure import choose, measure, prove

guidance_app = typer.Typer(
    help="Guidance policies: how guidelines are chosen, worded and placed. A release binds one; the"
    " settings propose the next.",
    no_args_is_help=True,
)
guidance_app.command()(measure)
guidance_app.command()(choose)
guidance_app.command()(prove)

_SHOWN_CHARS = 70


@guidance_app.command()
def show(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show the live policy beside the one that the settings propose."""
    from guidealign.promotion import proposal

    found = proposal(**data())
    live = found.live
    if as_json:
        print_json(
            {
                "live": live and {"version": live.policy_version, "digest": live.policy.digest,
                                  "release": live.release_id, **asdict(live.policy)},
                "proposed": {"digest": found.policy.digest, **asdict(found.policy)},
                "changes": [asdict(change) for change in found.changes],
            }
        )  # fmt: skip
        return
    changed = {change.name for change in found.changes}
    title = "live" if live is None else f"live: {live.policy_version} ({live.policy.name})"
    table = Table("", title, f"proposed ({found.policy.name})")
    before = {} if live is None else asdict(live.policy)
    for name, value in asdict(found.policy).items():
        style = "bold" if name in changed else None
        table.add_row(name, _cell(before.get(name)), _cell(value), style=style)
    console.print(table)
    if live is None:
        console.print("nothing was ever released: the first release takes what is proposed")
    else:
        said = found.in_words() or "the settings propose what is live"
        console.print(said, highlight=False, soft_wrap=True, markup=False)


@guidance_app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List the policies there were, the newest first."""
    from guidealign.promotion import list_policies

    rows = list_policies(engine=data()["engine"])
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    table = Table("policy", "digest", "k", "rule", "placement", "stored", "by", "served")
    for row in rows:
        policy = row.policy
        served = "live" if row.live else "" if row.first_release is None else "before"
        table.add_row(
            str(row.version), policy.name, str(policy.k), policy.topic_rule, policy.placement,
            f"{row.created_at:%Y-%m-%d %H:%M}", escape(row.actor), served,
        )  # fmt: skip
    console.print(table if rows else "there is no policy yet: the first release stores one")


@guidance_app.command()
def adopt(
    reason: Annotated[str, typer.Option(help="Goes into the ledger.")],
) -> None:
    """Serve the policy that the settings propose: a release of its own."""
    from guidealign.guidance import proposed_policy
    from guidealign.promotion import Note, adopt_policy

    given: dict[str, Any] = services()
    policy = proposed_policy(given["settings"])
    release = adopt_policy(policy, note=Note(actor(), reason), **given)
    console.print(
        f"release {release.release_id} serves guidance policy {release.policy_version}"
        f" ({policy.name}); `guidealign rollback guidealign-guidance --reason ...` goes back",
        highlight=False,
    )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = str(value)
    return escape(text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 3]}...")
