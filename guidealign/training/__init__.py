"""What training a model takes, whichever it is: processes, checkpoints, steps, one registration."""

from guidealign.training.checkpoint import Checkpoint
from guidealign.training.loop import Course, LogStep, Progress, Training
from guidealign.training.precision import (
    Precision,
    autocast,
    compute_device,
    compute_precision,
)
from guidealign.training.processes import ALONE, Processes, assist, together
from guidealign.training.register import (
    LineageRow,
    Recipe,
    Trained,
    TrainResult,
    checkpoint_of,
    register_once,
)
from guidealign.training.reload import RELOAD_FILE, compare_outputs, save_outputs

__all__ = [
    "ALONE",
    "RELOAD_FILE",
    "Checkpoint",
    "Course",
    "LineageRow",
    "LogStep",
    "Precision",
    "Processes",
    "Progress",
    "Recipe",
    "TrainResult",
    "Trained",
    "Training",
    "assist",
    "autocast",
    "checkpoint_of",
    "compare_outputs",
    "compute_device",
    "compute_precision",
    "register_once",
    "save_outputs",
    "together",
]
