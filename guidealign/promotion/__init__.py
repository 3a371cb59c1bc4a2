"""The switch: which versions are served, moved only with a gate, a person or a reason."""

from guidealign.promotion.approval import Approval
from guidealign.promotion.inspect import (
    CheckRow,
    DecisionRow,
    LineageRow,
    LineageStep,
    MoveRow,
    lineage_steps,
    model_lineage,
    recent_decisions,
    recent_moves,
)
from guidealign.promotion.policy import (
    PolicyRow,
    Proposal,
    adopt_policy,
    list_policies,
    proposal,
    store_proposal,
)
from guidealign.promotion.proof import Proven, proven, vouch
from guidealign.promotion.reconcile import reconcile
from guidealign.promotion.store import Note
from guidealign.promotion.switch import (
    SwitchResult,
    adopt_library,
    decide_and_switch,
    follow_judgement,
    promote_by_hand,
    rollback,
)
from guidealign.promotion.tidy import drop_unused_embeddings
from guidealign.promotion.watch import (
    InterimAnalysis,
    WatchResult,
    analyse_promotion,
    watch_promotions,
)

__all__ = [
    "Approval",
    "CheckRow",
    "DecisionRow",
    "InterimAnalysis",
    "LineageRow",
    "LineageStep",
    "MoveRow",
    "Note",
    "PolicyRow",
    "Proposal",
    "Proven",
    "SwitchResult",
    "WatchResult",
    "adopt_library",
    "adopt_policy",
    "analyse_promotion",
    "decide_and_switch",
    "drop_unused_embeddings",
    "follow_judgement",
    "lineage_steps",
    "list_policies",
    "model_lineage",
    "promote_by_hand",
    "proposal",
    "proven",
    "recent_decisions",
    "recent_moves",
    "reconcile",
    "rollback",
    "store_proposal",
    "vouch",
    "watch_promotions",
]
