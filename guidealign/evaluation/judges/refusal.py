"""Whether an answer refuses, by rules that anybody can read: no model judges."""

from __future__ import annotations

from collections.abc import Sequence

from guidealign.evaluation.judges.model import Keep, PromptAnswer
from guidealign.judges import refusal_rules_version, why_refused


class RefusalJudge:
    """1: the answer refuses. An answer that is empty has no score."""

    metric = "refused"
    model = None

    @property
    def fingerprint(self) -> str:
        """Of the rules."""
        return refusal_rules_version()

    def judge(self, answers: Sequence[PromptAnswer], keep: Keep) -> None:
        """Looks at each answer's beginning."""
        for number, judged in enumerate(answers):
            said = judged.answer.strip()
            keep(number, float(why_refused(said) is not None) if said else "the answer is empty")
