"""What named people said to a promotion that the gate passed."""

from __future__ import annotations

from dataclasses import dataclass

from guidealign.settings import GateSettings

NEEDED = "it waits for {names}: no answer was asked for (run the DAG, or `guidealign promote`)"


@dataclass(frozen=True, kw_only=True)
class Approval:
    """An answer, or that none came in time."""

    granted: bool
    by: str | None
    """None: nobody answered."""
    reason: str = ""

    def __str__(self) -> str:
        """For the ledger."""
        if self.by is None:
            return "nobody answered in time"
        said = f"{'approved' if self.granted else 'held'} by {self.by}"
        return f"{said}: {self.reason}" if self.reason else said


def why_held(approval: Approval | None, settings: GateSettings) -> str | None:
    """Why a promotion that the gate passed does not happen; None: it may.

    Where approvers are named, no answer is a no.
    """
    if approval is None:
        names = ", ".join(settings.approvers)
        return NEEDED.format(names=names) if settings.approvers else None
    return None if approval.granted and approval.by is not None else str(approval)
