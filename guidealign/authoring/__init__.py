"""Writes guidelines for inputs: detects, asks, filters, stores once; grows inputs that lack."""

from guidealign.authoring.augment import AugmentResult, augment_inputs, plan_augmentation
from guidealign.authoring.author import add_up_batches, author_batch, plan_batches
from guidealign.authoring.filter import check_guideline, stopped_example
from guidealign.authoring.model import (
    AuthorResult,
    Detection,
    FilterVerdict,
    GuidelineDraft,
    guideline_hash,
)

__all__ = [
    "AugmentResult",
    "AuthorResult",
    "Detection",
    "FilterVerdict",
    "GuidelineDraft",
    "add_up_batches",
    "augment_inputs",
    "author_batch",
    "check_guideline",
    "guideline_hash",
    "plan_augmentation",
    "plan_batches",
    "stopped_example",
]
