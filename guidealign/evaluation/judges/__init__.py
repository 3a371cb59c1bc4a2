"""Judges of answers, each with a fingerprint, and how far each can be trusted."""

from guidealign.evaluation.judges.build import (
    JUDGES,
    build_judge,
    build_pair_judge,
    judge_endpoint,
)
from guidealign.evaluation.judges.classifier import HarmClassifier
from guidealign.evaluation.judges.labels import (
    LabelledAnswer,
    LabelledPair,
    load_answers,
    load_pairs,
)
from guidealign.evaluation.judges.language_model import AnswerPair, HarmModelJudge, PairJudge
from guidealign.evaluation.judges.model import Judge, PairVerdict, refuse_self
from guidealign.evaluation.judges.refusal import RefusalJudge, why_refused
from guidealign.evaluation.judges.reliability import Reliability, measure_answers, measure_pairs
from guidealign.evaluation.judges.score import judge_pairs, score_answers

__all__ = [
    "JUDGES",
    "AnswerPair",
    "HarmClassifier",
    "HarmModelJudge",
    "Judge",
    "LabelledAnswer",
    "LabelledPair",
    "PairJudge",
    "PairVerdict",
    "RefusalJudge",
    "Reliability",
    "build_judge",
    "build_pair_judge",
    "judge_endpoint",
    "judge_pairs",
    "load_answers",
    "load_pairs",
    "measure_answers",
    "measure_pairs",
    "refuse_self",
    "score_answers",
    "why_refused",
]
