"""A judge that was trained here, as evaluation asks it."""

from __future__ import annotations

from collections.abc import Sequence

from guidealign.evaluation.judges.model import Keep, PromptAnswer
from guidealign.gates import UNUSABLE
from guidealign.judges import Judged, JudgeTask, TrainedJudges

TRAINED: dict[str, JudgeTask] = {
    "trained-harmful": "harmful",
    "trained-declines": "declines",
    "trained-helps": "helps",
}
"""Judges' names, and the tasks of the heads that they ask."""
_AT_ONCE = 64


class TrainedJudge:
    """1: the head of a task says yes. An answer that is empty has no score.

    A head that has not shown what it takes judges all the same; its fingerprint says so, and gates
    do not believe its scores.
    """

    model = None

    def __init__(self, judges: TrainedJudges, task: JudgeTask) -> None:
        self._judges = judges
        self._task: JudgeTask = task
        self.metric: str = task
        self.why_unusable = judges.why_unusable(task)

    @property
    def usable(self) -> bool:
        """Whether gates may believe it."""
        return not self.why_unusable

    @property
    def fingerprint(self) -> str:
        """Of heads, reader and features, and whether the head is usable."""
        name = f"trained-{self._task}-{self._judges.fingerprint}"
        return name if self.usable else f"{name}{UNUSABLE}"

    def judge(self, answers: Sequence[PromptAnswer], keep: Keep) -> None:
        """Judges in batches."""
        said = [n for n, one in enumerate(answers) if one.answer.strip()]
        for number in set(range(len(answers))) - set(said):
            keep(number, "the answer is empty")
        for start in range(0, len(said), _AT_ONCE):
            some = said[start : start + _AT_ONCE]
            rows = [
                Judged(prompt=one.prompt, answer=one.answer, risky=one.risky)
                for one in (answers[n] for n in some)
            ]
            for number, yes in zip(some, self._judges.says(self._task, rows), strict=True):
                keep(number, float(yes))
