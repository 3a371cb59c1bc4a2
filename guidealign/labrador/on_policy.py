"""On-policy self-distillation: the model learns from its own answers what guidelines change.

The student, which sees the input alone, samples an answer; the same weights with guidelines in
front say of each of its tokens what they would rather say. The loss is the forward divergence
KL(teacher || student). Of the papers: on one's own answers, arXiv 2306.13649; a context that is
learned away, 2112.00861 and 2602.12275; the model as its own teacher, 2601.19897.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from guidealign.errors import BadInputError
from guidealign.labrador.divergence import Target, divergence, target_of
from guidealign.labrador.examples import batches, split_by_tokens, split_held_out
from guidealign.labrador.lessons import JudgeLessons, Lesson, Lessons, seeded
from guidealign.labrador.likelihood import answer_logits
from guidealign.labrador.loop import PROBE_ROWS, Trained, course_of, learn
from guidealign.labrador.rollouts import sample_answers
from guidealign.settings import LabradorSettings
from guidealign.training import (
    ALONE,
    Checkpoint,
    LogStep,
    Processes,
    autocast,
    compute_device,
    compute_precision,
)

if TYPE_CHECKING:
    import torch


def fit_on_policy(
    model: Any,
    lessons: Lessons,
    settings: LabradorSettings,
    log_step: LogStep,
    *,
    checkpoint: Checkpoint | None = None,
    processes: Processes = ALONE,
) -> Trained:
    """Trains the adapters on answers that the model gives itself, and checks that it learned.

    Which answers a step samples is decided by the seed, the step and the weights. Fixed answers of
    the base are compared before and after, and what is held out on the way, with the frozen
    teacher, whichever one is learned from: a yardstick that does not move.

    Args:
        model: with adapters that have learned nothing yet: it answers as the base does.
        lessons: a share of them is held out. Their judge decides when to stop, in place of the
            held-out divergence; it is called in the first process alone, and there in all.
        settings: of the training.
        log_step: told the figures of each step.
        checkpoint: of this training alone: one that was killed goes on there.
        processes: that train together, each on the same lessons.

    Raises:
        BadInputError: nothing is held out for the judge.
        IntegrityError: as `fit`.
    """
    model.to(compute_device())
    distilling = _Distilling(model, lessons, settings, processes)
    judge = lessons.judge
    learned, held_out = _split(lessons.lessons, settings)
    if judge is not None and not held_out:
        raise BadInputError("nothing is held out for the judge: raise LABRADOR__HELD_OUT_SHARE")
    if settings.sensitive_first:
        learned = distilling.most_moved(learned)
    guided = [lesson for lesson in learned if not lesson.is_replay]
    probe = distilling.sampled(seeded(guided[:PROBE_ROWS], settings, "probe"))
    held_out = seeded(held_out, settings, "held-out")
    looks = distilling.judged_by(judge, held_out) if judge else distilling.loss_of(held_out)
    course = course_of(
        settings,
        batches=_rounds(learned, settings),
        add_gradient=distilling.add_gradient,
        measure_before=lambda: {"probe_loss": distilling.mean(processes.share_of(probe))},
        evaluate=looks if held_out else None,
        evaluation="held_out_loss" if judge is None else "held_out_judged",
        higher_is_better=judge is not None,
        state=distilling.averages,
    )
    made = learn(model, course, probe[0].student_row(), log_step, checkpoint, processes)
    made.metrics["n_held_out"] = float(len(held_out))
    made.metrics["n_replay"] = float(sum(lesson.is_replay for lesson in lessons.lessons))
    return made


def time_step(model: Any, lessons: Lessons, settings: LabradorSettings) -> float:
    """Seconds of a step on inputs of middle length, rollouts and all; its gradient is left behind.

    Args:
        model: with adapters.
        lessons: what the training learns from.
        settings: of the training.
    """
    model.to(compute_device())
    distilling = _Distilling(model, lessons, settings, ALONE)
    by_length = sorted(lessons.lessons, key=lambda lesson: len(lesson.asked))
    start = max(0, (len(by_length) - settings.batch_size) // 2)
    middle = by_length[start : start + settings.batch_size]
    begun = time.monotonic()
    distilling.add_gradient(seeded(middle, settings, "timed"))
    return time.monotonic() - begun


class _Distilling:
    """Student and teacher over one model, and what each step asks of them."""

    def __init__(
        self, model: Any, lessons: Lessons, settings: LabradorSettings, processes: Processes
    ) -> None:
        self._model = model
        self._settings = settings
        self._processes = processes
        self._precision = compute_precision(settings.precision)
        self._ends = lessons.end_tokens | _end_tokens(model)
        self._adapters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        averaged = self._adapters if settings.teacher == "ema" else {}
        self.averages: dict[str, torch.Tensor] = {
            name: weights.detach().clone() for name, weights in averaged.items()
        }

    def add_gradient(self, batch: Sequence[Lesson]) -> dict[str, float]:
        """Adds the gradient of the mean divergence per answer token, a part at a time."""
        for name, average in self.averages.items():
            # As of the step before, so that a checkpoint behind a step needs no more than this.
            average.lerp_(self._adapters[name].detach(), 1.0 - self._settings.ema_decay)
        in_order = sorted(batch, key=lambda lesson: lesson.n_tokens)
        own = self.sampled(self._processes.share_of(in_order))
        n = self._processes.sum(sum(len(lesson.answer) for lesson in own))
        parts = list(split_by_tokens(own, self._settings.pass_tokens))
        with self._as_teacher(frozen=False):
            targets = [self._target(part) for part in parts]
        self._model.train()
        loss = 0.0
        for part, target in zip(parts, targets, strict=True):
            with autocast(self._precision):
                logits = answer_logits(self._model, [lesson.student_row() for lesson in part])
            part_loss = divergence(target, logits).sum() / n
            part_loss.backward()
            loss += float(part_loss.detach())
            del logits, part_loss  # as in `loop.gradient_of`
        self._processes.sum_gradients(self._model.parameters())
        tokens = self._processes.sum(sum(lesson.n_tokens for lesson in own))
        return {
            "loss": self._processes.sum(loss),
            "tokens": tokens,
            "answer_tokens": n / len(batch),
        }

    def loss_of(self, lessons: Sequence[Lesson]) -> Callable[[], float]:
        """Gives the mean divergence on the answers that the student has by then."""
        own = self._processes.share_of(lessons)
        return lambda: self.mean(self.sampled(own))

    def judged_by(self, judge: JudgeLessons, lessons: Sequence[Lesson]) -> Callable[[], float]:
        """Gives what the judge makes of the answers that the student has by then."""
        plain = self.sampled(lessons)

        def look() -> float:
            now = self.sampled(lessons)
            return self._processes.broadcast(judge(plain, now) if self._processes.is_first else 0.0)

        return look

    def mean(self, own: Sequence[Lesson]) -> float:
        """Divergence from the frozen teacher per answer token, of all processes' own lessons."""
        total = sum(map(sum, self._divergences(own).values()))
        n = self._processes.sum(sum(len(lesson.answer) for lesson in own))
        return self._processes.sum(total) / n

    def most_moved(self, lessons: Sequence[Lesson]) -> list[Lesson]:
        """As many as the steps take: replay in its share, then those that guidelines move most."""
        n = self._settings.max_steps * self._settings.batch_size
        if n >= len(lessons):
            return list(lessons)
        replay = [lesson for lesson in lessons if lesson.is_replay]
        guided = [lesson for lesson in lessons if not lesson.is_replay]
        n_replay = min(len(replay) * n // len(lessons), n - 1)
        moved = {lesson: sum(d) / len(d) for lesson, d in self._divergences(guided).items()}
        first = sorted(guided, key=lambda lesson: -moved[lesson])[: n - n_replay]
        # Processes may round apart.
        return self._processes.broadcast(replay[:n_replay] + first)

    def _divergences(self, lessons: Sequence[Lesson]) -> dict[Lesson, list[float]]:
        """Of the model as it is from the frozen teacher, at each token of the lessons' answers."""
        import torch

        self._model.eval()
        found: dict[Lesson, list[float]] = {}
        for part in split_by_tokens(lessons, self._settings.pass_tokens):
            with torch.no_grad(), autocast(self._precision):
                logits = answer_logits(self._model, [lesson.student_row() for lesson in part])
            with self._as_teacher(frozen=True):
                target = self._target(part)
            each = divergence(target, logits).split([len(lesson.answer) for lesson in part])
            found |= {lesson: d.tolist() for lesson, d in zip(part, each, strict=True)}
        return found

    def sampled(self, lessons: Sequence[Lesson]) -> list[Lesson]:
        """With the model's own answers, a batch at a time."""
        size, done = self._settings.batch_size, []
        for start in range(0, len(lessons), size):
            few = lessons[start : start + size]
            answers = sample_answers(
                self._model,
                [lesson.asked for lesson in few],
                [lesson.seed for lesson in few],
                temperature=self._settings.rollout_temperature,
                max_tokens=self._settings.rollout_tokens,
                end_tokens=self._ends,
            )
            pairs = zip(few, answers, strict=True)
            done += [replace(lesson, answer=answer) for lesson, answer in pairs]
        return done

    def _target(self, part: Sequence[Lesson]) -> Target:
        """What the teacher, whose weights are in place, finds of the answers' tokens."""
        import torch

        self._model.eval()
        with torch.no_grad(), autocast(self._precision):
            logits = answer_logits(self._model, [lesson.teacher_row() for lesson in part])
        return target_of(logits, self._settings.teacher_top_k)

    @contextmanager
    def _as_teacher(self, *, frozen: bool) -> Iterator[None]:
        """Puts the teacher's weights in place inside the block."""
        if frozen or not self.averages:
            with self._model.disable_adapter():
                yield
            return
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, average in self.averages.items():
            weights = self._adapters[name]
            weights.data, average.data = average.data, weights.data


def _split(
    lessons: Sequence[Lesson], settings: LabradorSettings
) -> tuple[list[Lesson], list[Lesson]]:
    """What is learned from and what is held out, of each kind its share."""
    learned, held_out = [], []
    for kind in (False, True):
        of_kind = [lesson for lesson in lessons if lesson.is_replay == kind]
        parts = split_held_out(of_kind, share=settings.held_out_share, seed=settings.seed)
        learned += parts[0]
        held_out += parts[1]
    return learned, held_out


def _rounds(lessons: Sequence[Lesson], settings: LabradorSettings) -> Iterator[list[Lesson]]:
    """The batch of each step, with the seeds of its answers."""
    size, steps = settings.batch_size, settings.max_steps
    chosen = batches(lessons, size=size, steps=steps, seed=settings.seed)
    for step, batch in enumerate(chosen, start=1):
        yield seeded(batch, settings, f"step {step}")


def _end_tokens(model: Any) -> frozenset[int]:
    """That end an answer by the model's own word: one, several or none."""
    ends = model.generation_config.eos_token_id
    return frozenset(ends if isinstance(ends, list) else [] if ends is None else [ends])
