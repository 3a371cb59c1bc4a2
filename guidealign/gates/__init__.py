"""Gates compare challenger and champion case by case, and hold unless all is shown.

Start here: `_checks.check_all` runs the checks of a policy (`policy.py`) on scores of both sides,
with the statistics of `paired_statistics/`; `_conclude.conclude` makes the verdict of them. The
room knows no database, no model and no scheduler: whoever has scores can ask it.
"""

from guidealign.gates._checks import Anchor, Runs, as_runs, check_all, check_once
from guidealign.gates._conclude import conclude
from guidealign.gates._interim_analyses import interim_level
from guidealign.gates.interval_chart import CheckInterval, draw_intervals
from guidealign.gates.model import (
    UNUSABLE,
    CheckResult,
    GateDecision,
    PeopleFigures,
    PeopleLabels,
)
from guidealign.gates.outside import OutsideDecision, Question, compare_files, outside_page
from guidealign.gates.paired_statistics.bootstrap import Bootstrap
from guidealign.gates.paired_statistics.judged import choose_for_labels
from guidealign.gates.policy import (
    CheckPolicy,
    GatePolicy,
    InterimPlan,
    JudgeDemand,
    Test,
    load_policy,
)
from guidealign.gates.templates import templates_in

__all__ = [
    "UNUSABLE",
    "Anchor",
    "Bootstrap",
    "CheckInterval",
    "CheckPolicy",
    "CheckResult",
    "GateDecision",
    "GatePolicy",
    "InterimPlan",
    "JudgeDemand",
    "OutsideDecision",
    "PeopleFigures",
    "PeopleLabels",
    "Question",
    "Runs",
    "Test",
    "as_runs",
    "check_all",
    "check_once",
    "choose_for_labels",
    "compare_files",
    "conclude",
    "draw_intervals",
    "interim_level",
    "load_policy",
    "outside_page",
    "templates_in",
]
