"""Inputs that the model answers itself, as tokens: what it is asked, what its teacher is asked."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from guidealign.alignment import AlignedExample
from guidealign.errors import BadInputError
from guidealign.labrador.examples import MASKED, Row, Rows, drawn, prompt_and_answer
from guidealign.settings import LabradorSettings


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """An input with an answer; the teacher says what it finds of the answer's tokens."""

    input_id: int
    asked: tuple[int, ...]
    """The student's prompt: the input without guidelines."""
    guided: tuple[int, ...]
    """The teacher's prompt; for replay the student's own."""
    answer: tuple[int, ...]
    """The one of the data set, or the student's own."""
    seed: int = 0
    """Decides which answer the student samples."""

    @property
    def n_tokens(self) -> int:
        """Of the student's pass, the only one that keeps what a gradient needs."""
        return len(self.asked) + len(self.answer)

    @property
    def is_replay(self) -> bool:
        """Whether the teacher sees no more than the student."""
        return self.guided == self.asked

    def student_row(self) -> Row:
        """Prompt and answer of the student; the answer is what counts."""
        return _row(self.asked, self.answer)

    def teacher_row(self) -> Row:
        """The same answer behind the teacher's prompt."""
        return _row(self.guided, self.answer)


JudgeLessons = Callable[[Sequence[Lesson], Sequence[Lesson]], float]
"""Of the base's answers to the held-out inputs and the student's: the higher, the better."""


@dataclass(frozen=True, kw_only=True)
class HeldOutAnswers:
    """Two answers to an input that nothing is learned from."""

    prompt: str
    plain: str
    """The base's, without guidelines."""
    learned: str
    """That of the model as it is by then."""


@dataclass(frozen=True, kw_only=True)
class HeldOutJudge:
    """Decides when on-policy learning stops, and which of its weights are the best."""

    fingerprint: str
    """Of everything that decides what it says."""
    judge: Callable[[Sequence[HeldOutAnswers]], float]
    """Of all held-out inputs, such as harm turned away less harm done anew: the higher, the
    better."""


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """What can be learned from, what ends an answer, and who judges those held out."""

    lessons: tuple[Lesson, ...]
    n_dropped: int
    """Inputs of which the prompt leaves no room for an answer."""
    end_tokens: frozenset[int]
    judge: JudgeLessons | None = None
    """None: the held-out divergence tells when to stop."""

    def longest(self, settings: LabradorSettings) -> tuple[Row, ...]:
        """As the student sees them, with answers as long as they may get."""
        full = (0,) * settings.rollout_tokens
        return tuple(replace(lesson, answer=full).student_row() for lesson in self.lessons)

    def rows(self) -> Rows:
        """As the student sees them, with the data set's answers."""
        rows = tuple(lesson.student_row() for lesson in self.lessons)
        return Rows(rows=rows, n_truncated=0, n_dropped=self.n_dropped)


def tokenize_lessons(
    examples: Sequence[AlignedExample], tokenizer: Any, settings: LabradorSettings
) -> Lessons:
    """The inputs as the student and as the teacher are asked them.

    An input without guidelines is replay, and so is a drawn share of the harmless ones.

    Raises:
        BadInputError: guidelines cannot be worded as they were, no prompt leaves room for an
            answer, or every input is replay, so that there is nothing to learn.
        ConfigurationError: the tokenizer's chat template is missing or rewrites prompts.
    """
    lessons = []
    for example in examples:
        asked, answer = prompt_and_answer(replace(example, guidelines=()), tokenizer)
        replays = example.known_safe and drawn("replay", settings.seed, example.input_id) < (
            settings.replay_share
        )
        guided = asked if replays else prompt_and_answer(example, tokenizer)[0]
        if len(asked) + settings.rollout_tokens <= settings.max_length:
            lessons.append(
                Lesson(
                    input_id=example.input_id,
                    asked=tuple(asked),
                    guided=tuple(guided),
                    answer=tuple(answer[: settings.rollout_tokens]),
                )
            )
    if not lessons:
        raise BadInputError(
            f"none of {len(examples)} inputs leaves {settings.rollout_tokens} tokens for an answer:"
            " raise LABRADOR__MAX_LENGTH or lower LABRADOR__ROLLOUT_TOKENS"
        )
    if all(lesson.is_replay for lesson in lessons):
        raise BadInputError(
            "on-policy learning needs inputs with guidelines that are not replay, and the data set"
            " has none: run the align stage again, lower LABRADOR__REPLAY_SHARE, or set"
            " LABRADOR__OBJECTIVE=sft"
        )
    return Lessons(
        lessons=tuple(lessons),
        n_dropped=len(examples) - len(lessons),
        end_tokens=frozenset([tokenizer.eos_token_id]),
    )


def seeded(lessons: Sequence[Lesson], settings: LabradorSettings, purpose: str) -> list[Lesson]:
    """The lessons, each to be answered as the training's seed, the purpose and the input say."""
    places = [f"{purpose} {settings.seed}:{lesson.input_id}" for lesson in lessons]
    seeds = [random.Random(place).getrandbits(63) for place in places]  # noqa: S311 - a choice
    return [replace(lesson, seed=seed) for lesson, seed in zip(lessons, seeds, strict=True)]


def judging(
    judge: HeldOutJudge, examples: Sequence[AlignedExample], tokenizer: Any
) -> JudgeLessons:
    """The judge, told texts of the lessons' answers."""
    prompts = {example.input_id: example.prompt for example in examples}

    def told(plain: Sequence[Lesson], now: Sequence[Lesson]) -> float:
        return judge.judge(
            [
                HeldOutAnswers(
                    prompt=prompts[before.input_id],
                    plain=tokenizer.decode(before.answer, skip_special_tokens=True),
                    learned=tokenizer.decode(after.answer, skip_special_tokens=True),
                )
                for before, after in zip(plain, now, strict=True)
            ]
        )

    return told


def _row(prompt: tuple[int, ...], answer: tuple[int, ...]) -> Row:
    return Row(tokens=(*prompt, *answer), labels=(*[MASKED] * len(prompt), *answer))
