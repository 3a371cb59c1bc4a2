"""Trust in a model: how well it detects, resists injections and judges, on labelled cases."""

from guidealign.evaluation.trust.detection import calibrate
from guidealign.evaluation.trust.detection_figures import CalibrationReport
from guidealign.evaluation.trust.heatmap import confusion_svg
from guidealign.evaluation.trust.injection import (
    InjectionReport,
    measure_injection,
)
from guidealign.evaluation.trust.judge_labels import (
    held_out_of_judges,
    package_labels,
    renew_judges,
)
from guidealign.evaluation.trust.judge_reliability import Reliability, measure_judge
from guidealign.evaluation.trust.labelled_cases import (
    LabelledAnswer,
    LabelledPair,
    load_answers,
    load_pairs,
)
from guidealign.evaluation.trust.pace import Pace
from guidealign.evaluation.trust.prompt_comparison import (
    PromptComparison,
    compare_prompts,
    labelled_inputs,
)
from guidealign.evaluation.trust.threshold import (
    ThresholdReport,
    find_threshold,
)

__all__ = [
    "CalibrationReport",
    "InjectionReport",
    "LabelledAnswer",
    "LabelledPair",
    "Pace",
    "PromptComparison",
    "Reliability",
    "ThresholdReport",
    "calibrate",
    "compare_prompts",
    "confusion_svg",
    "find_threshold",
    "held_out_of_judges",
    "labelled_inputs",
    "load_answers",
    "load_pairs",
    "measure_injection",
    "measure_judge",
    "package_labels",
    "renew_judges",
]
