"""`guidealign guidance`: how guidelines are chosen and worded, and what the settings propose."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from guidealign.cli._shared import actor, console, data, print_json, services
from guidealign.cli.guidance_measure import choose, measure, prove

if TYPE_CHECKING:
    from guidealign.promotion import Proven

Model = Annotated[str, typer.Argument(help="As requests name it; Labrador is the live version.")]
Policy = Annotated[int | None, typer.Option(help="Guidance policy; default: the live one.")]
Reason = Annotated[str, typer.Option(help="Goes into the ledger.")]

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
    from guidealign.promotion import proposal, proven

    found, proofs = proposal(**data()), proven(**data())
    live = found.live
    if as_json:
        print_json(
            {
                "live": live and {"version": live.policy_version, "digest": live.policy.digest,
                                  "release": live.release_id, **asdict(live.policy)},
                "proposed": {"digest": found.policy.digest, **asdict(found.policy)},
                "changes": [asdict(change) for change in found.changes],
                "proofs": [asdict(proof) for proof in proofs.proofs] if proofs else [],
                "unproven": proofs.unproven if proofs else (),
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
    if proofs is not None:
        _print_proofs(proofs)


def _print_proofs(found: Proven) -> None:
    if found.proofs:
        table = Table("model", "guidance", "measured with", "by", "why", title="proofs that count")
        for proof in found.proofs:
            parts = (f"library {proof.library_version}, retriever {proof.retriever_version},"
                     f" decision {proof.decision_id}")  # fmt: skip
            table.add_row(
                escape(proof.model), proof.verdict, "-" if proof.decision_id is None else parts,
                escape(proof.actor), _cell(proof.reason),
            )  # fmt: skip
        console.print(table)
    if said := found.in_words():
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
    table = Table(
        "policy", "digest", "k", "rule", "placement", "stored", "by", "served", "proven for"
    )
    for row in rows:
        policy = row.policy
        served = "live" if row.live else "" if row.first_release is None else "before"
        table.add_row(
            str(row.version), policy.name, str(policy.k), policy.topic_rule, policy.placement,
            f"{row.created_at:%Y-%m-%d %H:%M}", escape(row.actor), served,
            escape(", ".join(row.proven_for)),
        )  # fmt: skip
    console.print(table if rows else "there is no policy yet: the first release stores one")


@guidance_app.command()
def adopt(
    reason: Reason,
    unproven: Annotated[
        bool, typer.Option("--unproven", help="By your word, for models it is not proven for.")
    ] = False,
) -> None:
    """Serve the policy that the settings propose: a release of its own."""
    from guidealign.guidance import proposed_policy
    from guidealign.promotion import Note, adopt_policy, proven

    given: dict[str, Any] = services()
    policy = proposed_policy(given["settings"])
    release = adopt_policy(policy, note=Note(actor(), reason), unproven=unproven, **given)
    console.print(
        f"release {release.release_id} serves guidance policy {release.policy_version}"
        f" ({policy.name}); `guidealign rollback guidealign-guidance --reason ...` goes back",
        highlight=False,
    )
    found = proven(engine=given["engine"], settings=given["settings"])
    if found is not None:
        named = ", ".join(proof.model for proof in found.proofs if proof.serves)
        said = [f"proven or vouched for: {named or 'no model'}", found.in_words() or ""]
        console.print("\n".join(said).strip(), highlight=False, soft_wrap=True, markup=False)


@guidance_app.command()
def override(model: Model, reason: Reason, policy: Policy = None) -> None:
    """Have guidelines put in front of a model by your word, whatever was measured."""
    _vouch("override", model, reason, policy, "gets guidelines by your word")


@guidance_app.command()
def revoke(model: Model, reason: Reason, policy: Policy = None) -> None:
    """Have no more guidelines put in front of a model; they are found and recorded still."""
    _vouch("revoked", model, reason, policy, "gets no guidelines any more")


def _vouch(
    verdict: Literal["override", "revoked"], model: str, reason: str, policy: int | None, said: str
) -> None:
    from guidealign.promotion import Note, vouch

    given, note = data(), Note(actor(), reason)
    stored, behind = vouch(verdict, model, policy_version=policy, note=note, **given)
    console.print(
        f"{stored.model} {said} under guidance policy {stored.policy_version}",
        highlight=False, markup=False,
    )  # fmt: skip
    if not behind:
        console.print("no model of that name is behind the gateway now", highlight=False)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = str(value)
    return escape(text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 3]}...")
