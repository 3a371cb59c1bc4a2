"""Writes guidelines for inputs: detects, asks, filters, stores once; grows inputs that lack."""

from guidealign.authoring.augment import AugmentResult, augment_inputs, plan_augmentation
from guidealign.authoring.author import add_up_batches, author_batch, plan_batches, plan_run
from guidealign.authoring.filter import check_guideline, stopped_example
from guidealign.authoring.model import (
    AuthorResult,
    Detection,
    FilterVerdict,
    GuidelineDraft,
    guideline_hash,
)
from guidealign.authoring.queue import DeadLetters, QueueCounts, count_queue, retry_dead_letters
from guidealign.authoring.report import record_run

__all__ = [
    "AugmentResult",
    "AuthorResult",
    "DeadLetters",
    "Detection",
    "FilterVerdict",
    "GuidelineDraft",
    "QueueCounts",
    "add_up_batches",
    "augment_inputs",
    "author_batch",
    "check_guideline",
    "count_queue",
    "guideline_hash",
    "plan_augmentation",
    "plan_batches",
    "plan_run",
    "record_run",
    "retry_dead_letters",
    "stopped_example",
]
