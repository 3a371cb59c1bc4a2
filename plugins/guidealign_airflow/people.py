"""The step between a gate and the switch at which people may be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guidealign.settings import load_settings

if TYPE_CHECKING:
    from guidealign.promotion import Approval

PROMOTE, HOLD = "Promote", "Hold"


def ask_people(judged: Any) -> Any:
    """The answer of the task `approve` where `gates.approvers` names people; else None.

    A file apart from the operator's: what nobody asks for takes no time to parse.
    """
    if not load_settings().gates.approvers:
        return None
    from guidealign_airflow.approval import PromotionApproval

    return PromotionApproval(
        task_id="approve",
        judged=judged,
        doc_md="Waits for one of the named approvers; nobody's answer means hold.",
    ).output


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
