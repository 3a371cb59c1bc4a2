"""Puts guidelines in front of inputs, and keeps the guided answers as a data set."""

from guidealign.alignment.compose import compose, guideline_prompt
from guidealign.alignment.dataset import build_dataset, load_dataset
from guidealign.alignment.model import (
    PROMPT_VERSION,
    AlignedData,
    AlignedExample,
    DatasetResult,
    PreferenceData,
    PreferencePair,
)
from guidealign.alignment.retrieve import keep_distinct, retrieve

__all__ = [
    "PROMPT_VERSION",
    "AlignedData",
    "AlignedExample",
    "DatasetResult",
    "PreferenceData",
    "PreferencePair",
    "build_dataset",
    "compose",
    "guideline_prompt",
    "keep_distinct",
    "load_dataset",
    "retrieve",
]
