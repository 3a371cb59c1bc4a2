"""Writes guidelines for inputs: detects what is unsafe, asks, filters, stores once."""

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
    "AuthorResult",
    "Detection",
    "FilterVerdict",
    "GuidelineDraft",
    "add_up_batches",
    "author_batch",
    "check_guideline",
    "guideline_hash",
    "plan_batches",
    "stopped_example",
]
