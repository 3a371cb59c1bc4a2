"""Puts guidelines in front of inputs, and keeps the guided answers as a data set."""

from guidealign.alignment.compose import compose
from guidealign.alignment.dataset import build_dataset, load_dataset
from guidealign.alignment.model import (
    PROMPT_VERSION,
    AlignedData,
    AlignedExample,
    DatasetResult,
)
from guidealign.alignment.retrieve import retrieve

__all__ = [
    "PROMPT_VERSION",
    "AlignedData",
    "AlignedExample",
    "DatasetResult",
    "build_dataset",
    "compose",
    "load_dataset",
    "retrieve",
]
