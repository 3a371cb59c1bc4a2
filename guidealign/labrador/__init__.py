"""Fine-tunes the small base on guided answers, and reads back what it registers."""

from guidealign.labrador.estimate import Estimate, estimate_training
from guidealign.labrador.lessons import HeldOutAnswers, HeldOutJudge
from guidealign.labrador.likelihood import free_cores
from guidealign.labrador.load import load_model
from guidealign.labrador.memory import peak_resident_gb
from guidealign.labrador.train import train_labrador

__all__ = [
    "Estimate",
    "HeldOutAnswers",
    "HeldOutJudge",
    "estimate_training",
    "free_cores",
    "load_model",
    "peak_resident_gb",
    "train_labrador",
]
