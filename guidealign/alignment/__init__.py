"""Has inputs answered in several ways, and keeps the best answers as a data set."""

from guidealign.alignment.dataset import build_dataset, dataset_run, load_dataset, why_held
from guidealign.alignment.filters import REFUSAL_WINDOW, refuses
from guidealign.alignment.model import (
    AlignedData,
    AlignedExample,
    DatasetResult,
    Guideline,
    PreferenceData,
    PreferencePair,
    PreferenceResult,
)
from guidealign.alignment.preferences import build_preferences, load_preferences
from guidealign.alignment.retrieve import retrieve

__all__ = [
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
    "dataset_run",
    "load_dataset",
    "load_preferences",
    "refuses",
    "retrieve",
    "why_held",
]
