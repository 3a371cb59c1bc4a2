"""Gates: compare challenger and champion case by case, and hold unless all is shown."""

from guidealign.evaluation.gates._checks import Anchor, check_all, check_once
from guidealign.evaluation.gates._conclude import conclude
from guidealign.evaluation.gates._decide import decide, gate
from guidealign.evaluation.gates._interim_analyses import interim_level

__all__ = ["Anchor", "check_all", "check_once", "conclude", "decide", "gate", "interim_level"]
