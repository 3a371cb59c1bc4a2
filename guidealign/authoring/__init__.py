"""Writes guidelines for inputs: detects, asks, filters, stores once; grows inputs that lack."""

from guidealign.authoring.augmentation import AugmentResult, augment_inputs, plan_augmentation
from guidealign.authoring.author import add_up_batches, author_batch, plan_batches, plan_run
from guidealign.authoring.calibration import (
    CalibrationReport,
    InjectionReport,
    Outcome,
    Pace,
    ThresholdReport,
    calibrate,
    confusion_svg,
    find_threshold,
    measure_injection,
    stored_calibration,
    stored_injection,
    stored_threshold,
)
from guidealign.authoring.compare import PromptComparison, compare_prompts, labelled_inputs
from guidealign.authoring.model import (
    AuthorResult,
    Detection,
    FilterVerdict,
    GuidelineDraft,
    guideline_hash,
)
from guidealign.authoring.prompts import as_data, new_nonce, register_prompts
from guidealign.authoring.quality import FILTER_RULES, check_guideline, stopped_example
from guidealign.authoring.report import record_run
from guidealign.authoring.work_queue import (
    DeadLetters,
    QueueCounts,
    count_queue,
    prefer_inputs,
    retry_dead_letters,
)

__all__ = [
    "FILTER_RULES",
    "AugmentResult",
    "AuthorResult",
    "CalibrationReport",
    "DeadLetters",
    "Detection",
    "FilterVerdict",
    "GuidelineDraft",
    "InjectionReport",
    "Outcome",
    "Pace",
    "PromptComparison",
    "QueueCounts",
    "ThresholdReport",
    "add_up_batches",
    "as_data",
    "augment_inputs",
    "author_batch",
    "calibrate",
    "check_guideline",
    "compare_prompts",
    "confusion_svg",
    "count_queue",
    "find_threshold",
    "guideline_hash",
    "labelled_inputs",
    "measure_injection",
    "new_nonce",
    "plan_augmentation",
    "plan_batches",
    "plan_run",
    "prefer_inputs",
    "record_run",
    "register_prompts",
    "retry_dead_letters",
    "stopped_example",
    "stored_calibration",
    "stored_injection",
    "stored_threshold",
]
