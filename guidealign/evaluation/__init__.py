"""Evaluation measures models, and decides whether a challenger may be promoted.

Start here: `gates.judge.judge_labrador` scores a challenger and the live version on the same cases
(`benchmarks/`), has the room `guidealign.gates` compare them case by case, and stores the decision
(`gates/`). `scoring.run_benchmark` has any model answer a benchmark and judges score the answers
(`judges/`). `guidance/` measures what guidance policies do to a model's answers, chooses one, and
puts it before a gate. `trust/` measures how far a model can be believed as a detector, as a judge,
and against injections.
"""

from guidealign.evaluation.benchmarks import (
    Benchmark,
    BenchmarkSubject,
    StoredRun,
    benchmark_kinds,
    load_benchmark,
)
from guidealign.evaluation.benchmarks import list_runs as list_benchmark_runs
from guidealign.evaluation.benchmarks import read_run as read_benchmark_run
from guidealign.evaluation.benchmarks.evaluation_set import PARTS, load_evaluation_set
from guidealign.evaluation.benchmarks.preference import score_labrador
from guidealign.evaluation.benchmarks.starter_cases import PreferenceCase, load_cases
from guidealign.evaluation.fitness import (
    Fitness,
    FitnessRole,
    fit_to_author,
    fit_to_be_guided,
    fit_to_judge,
)
from guidealign.evaluation.gates import gate
from guidealign.evaluation.gates.judge import Judgement, judge_labrador, judge_retriever
from guidealign.evaluation.guidance import (
    TRAINED_JUDGES,
    Budget,
    GuidanceVerdict,
    Instruments,
    Measurement,
    PolicyChoice,
    Variant,
    VariantFigures,
    build_instruments,
    choose_policy,
    gate_guidance,
    guidance_page,
    load_variants,
    log_guidance,
    measure_guidance,
)
from guidealign.evaluation.page import decision_page
from guidealign.evaluation.scoring.results import (
    Demand,
    ScoreRow,
    compare_results,
    results_of,
    rows_of,
)
from guidealign.evaluation.scoring.run_benchmark import (
    BenchmarkSource,
    Evaluated,
    judge_run_pair,
    run_benchmark,
    run_likelihood,
)
from guidealign.evaluation.store import load_run, store_run
from guidealign.evaluation.trust import (
    CalibrationReport,
    InjectionReport,
    Pace,
    PromptComparison,
    Reliability,
    ThresholdReport,
    calibrate,
    compare_prompts,
    confusion_svg,
    find_threshold,
    held_out_of_judges,
    labelled_inputs,
    measure_injection,
    measure_judge,
    package_labels,
    renew_judges,
)

__all__ = [
    "PARTS",
    "TRAINED_JUDGES",
    "Benchmark",
    "BenchmarkSource",
    "BenchmarkSubject",
    "Budget",
    "CalibrationReport",
    "Demand",
    "Evaluated",
    "Fitness",
    "FitnessRole",
    "GuidanceVerdict",
    "InjectionReport",
    "Instruments",
    "Judgement",
    "Measurement",
    "Pace",
    "PolicyChoice",
    "PreferenceCase",
    "PromptComparison",
    "Reliability",
    "ScoreRow",
    "StoredRun",
    "ThresholdReport",
    "Variant",
    "VariantFigures",
    "benchmark_kinds",
    "build_instruments",
    "calibrate",
    "choose_policy",
    "compare_prompts",
    "compare_results",
    "confusion_svg",
    "decision_page",
    "find_threshold",
    "fit_to_author",
    "fit_to_be_guided",
    "fit_to_judge",
    "gate",
    "gate_guidance",
    "guidance_page",
    "held_out_of_judges",
    "judge_labrador",
    "judge_retriever",
    "judge_run_pair",
    "labelled_inputs",
    "list_benchmark_runs",
    "load_benchmark",
    "load_cases",
    "load_evaluation_set",
    "load_run",
    "load_variants",
    "log_guidance",
    "measure_guidance",
    "measure_injection",
    "measure_judge",
    "package_labels",
    "read_benchmark_run",
    "renew_judges",
    "results_of",
    "rows_of",
    "run_benchmark",
    "run_likelihood",
    "score_labrador",
    "store_run",
]
