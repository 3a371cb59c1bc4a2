"""Benchmarks, statistics and gates: what a challenger must show before it is promoted."""

from guidealign.evaluation.benchmark import PreferenceCase, load_cases
from guidealign.evaluation.gates import gate
from guidealign.evaluation.judge import Judgement, judge_labrador, judge_retriever
from guidealign.evaluation.model import CheckResult, GateDecision
from guidealign.evaluation.page import decision_page
from guidealign.evaluation.policy import CheckPolicy, GatePolicy, load_policy
from guidealign.evaluation.preference import score_labrador
from guidealign.evaluation.store import load_run, store_run

__all__ = [
    "CheckPolicy",
    "CheckResult",
    "GateDecision",
    "GatePolicy",
    "Judgement",
    "PreferenceCase",
    "decision_page",
    "gate",
    "judge_labrador",
    "judge_retriever",
    "load_cases",
    "load_policy",
    "load_run",
    "score_labrador",
    "store_run",
]
