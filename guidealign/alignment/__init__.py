"""Puts guidelines in front of inputs, and keeps the guided answers as a data set."""

from guidealign.alignment.compose import compose, guideline_prompt
from guidealign.alignment.dataset import build_dataset, dataset_run, load_dataset
from guidealign.alignment.filters import REFUSAL_WINDOW, refuses
from guidealign.alignment.model import (
    PROMPT_VERSION,
    AlignedData,
    AlignedExample,
    DatasetResult,
    Guideline,
    PreferenceData,
    PreferencePair,
    PreferenceResult,
)
from guidealign.alignment.preferences import build_preferences, load_preferences
from guidealign.alignment.retrieve import keep_distinct, retrieve

__all__ = [
    "PROMPT_VERSION",
    "REFUSAL_WINDOW",
    "AlignedData",
    "AlignedExample",
    "DatasetResult",
    "Guideline",
    "PreferenceData",
    "PreferencePair",
    "PreferenceResult",
    "build_dataset",
    "build_preferences",
    "compose",
    "dataset_run",
    "guideline_prompt",
    "keep_distinct",
    "load_dataset",
    "load_preferences",
    "refuses",
    "retrieve",
]
