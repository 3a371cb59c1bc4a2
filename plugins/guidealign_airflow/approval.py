"""Asks named people, in Airflow's UI, before a promotion that the gate passed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param

from guidealign.settings import load_settings
from guidealign_airflow.approval_answer import HOLD, PROMOTE
from guidealign_airflow.links import PAGES
from guidealign_airflow.runtime import STAGE_DEFAULTS

if TYPE_CHECKING:
    from airflow.sdk import Context


class PromotionApproval(HITLOperator):
    """Waits for one of `gates.approvers`; time out means hold. What a gate holds passes unasked.

    Nobody waits in a worker: the task is parked until the answer or its time.

    Args:
        judged: what the gate returned.
        operator: of every operator.
    """

    template_fields: ClassVar[Collection[str]] = (*HITLOperator.template_fields, "judged")

    def __init__(self, *, judged: Any, **operator: Any) -> None:
        gates = load_settings().gates
        users = [name.partition(":") for name in gates.approvers]
        given: dict[str, Any] = {
            "subject": "Serve a new version?",
            "options": [PROMOTE, HOLD],
            "defaults": HOLD,
            "params": {
                "reason": Param(
                    "", type="string", title="Reason", description="goes into the ledger"
                )
            },
            "assigned_users": [{"id": user, "name": name or user} for user, _, name in users],
            "response_timeout": timedelta(hours=gates.approval_timeout_h),
            # A second question would need a second answer.
            "retries": 0,
        }
        super().__init__(**(STAGE_DEFAULTS | given | operator))
        self.judged = judged

    def execute(self, context: Context) -> Any:
        """Parks the task, with the gate's words in the question."""
        if self.judged["decision_id"] is None or self.judged["verdict"] != "promote":
            return None
        model, new = self.judged["model_name"], self.judged["challenger_version"]
        self.subject = f"Serve {model} version {new}?"
        self.body = (
            f"The gate would promote version {new} in place of {self.judged['champion_version']}:"
            f" {self.judged['reason']}\n\n[The decision, with its intervals and the answers that"
            f" changed most]({PAGES}/decisions/{self.judged['decision_id']})"
        )
        return super().execute(context)
