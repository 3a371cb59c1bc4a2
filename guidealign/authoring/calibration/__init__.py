"""Measures a safety model: its detection on labelled inputs, and how far injections get."""

from guidealign.authoring.calibration.answers import Outcome, Progress
from guidealign.authoring.calibration.cases import load_cases, load_injections
from guidealign.authoring.calibration.detection import calibrate, stored_calibration
from guidealign.authoring.calibration.heatmap import confusion_svg
from guidealign.authoring.calibration.injection import (
    InjectionReport,
    measure_injection,
    stored_injection,
)
from guidealign.authoring.calibration.metrics import CalibrationReport
from guidealign.authoring.calibration.pace import Pace
from guidealign.authoring.calibration.threshold import (
    ThresholdReport,
    find_threshold,
    stored_threshold,
)

__all__ = [
    "CalibrationReport",
    "InjectionReport",
    "Outcome",
    "Pace",
    "Progress",
    "ThresholdReport",
    "calibrate",
    "confusion_svg",
    "find_threshold",
    "load_cases",
    "load_injections",
    "measure_injection",
    "stored_calibration",
    "stored_injection",
    "stored_threshold",
]
