"""What people can answer when they are asked before a promotion, and what it means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guidealign.promotion import Approval

PROMOTE, HOLD = "Promote", "Hold"


def approval_of(answer: dict[str, Any] | None) -> Approval | None:
    """What the people's answer means; None: they were not asked."""
    from guidealign.promotion import Approval

    if answer is None:
        return None
    user = answer["responded_by_user"]
    return Approval(
        granted=answer["chosen_options"] == [PROMOTE],
        by=user["name"] if user else None,
        reason=str((answer["params_input"] or {}).get("reason", "")).strip(),
    )
