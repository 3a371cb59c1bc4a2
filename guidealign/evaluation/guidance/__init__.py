"""What a guidance policy does to a model's answers: measured, chosen, and put before a gate."""

from guidealign.evaluation.guidance.choose import PolicyChoice, choose_policy
from guidealign.evaluation.guidance.figures import Flip, VariantFigures
from guidealign.evaluation.guidance.gate import GuidanceVerdict, gate_guidance, guided_name
from guidealign.evaluation.guidance.instruments import (
    TRAINED_JUDGES,
    Instruments,
    build_instruments,
)
from guidealign.evaluation.guidance.measure import Budget, Measurement, measure_guidance
from guidealign.evaluation.guidance.page import guidance_page, log_guidance
from guidealign.evaluation.guidance.variants import Variant, load_variants

__all__ = [
    "TRAINED_JUDGES",
    "Budget",
    "Flip",
    "GuidanceVerdict",
    "Instruments",
    "Measurement",
    "PolicyChoice",
    "Variant",
    "VariantFigures",
    "build_instruments",
    "choose_policy",
    "gate_guidance",
    "guidance_page",
    "guided_name",
    "load_variants",
    "log_guidance",
    "measure_guidance",
]
