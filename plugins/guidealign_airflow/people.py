"""The step between a gate and the switch at which people may be asked."""

from __future__ import annotations

from typing import Any

from guidealign.settings import load_settings


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
