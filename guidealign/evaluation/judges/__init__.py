"""Judges score answers; each has a fingerprint of everything that decides its scores."""

from guidealign.evaluation.judges.build import (
    JUDGES,
    build_judge,
    build_pair_judge,
    judge_endpoint,
)
from guidealign.evaluation.judges.classifier import HarmClassifier
from guidealign.evaluation.judges.language_model import AnswerPair, HarmModelJudge, PairJudge
from guidealign.evaluation.judges.model import Judge, PairVerdict, refuse_self
from guidealign.evaluation.judges.refusal import RefusalJudge
from guidealign.evaluation.judges.score import judge_pairs, score_answers
from guidealign.evaluation.judges.trained import TRAINED, TrainedJudge

__all__ = [
    "JUDGES",
    "TRAINED",
    "AnswerPair",
    "HarmClassifier",
    "HarmModelJudge",
    "Judge",
    "PairJudge",
    "PairVerdict",
    "RefusalJudge",
    "TrainedJudge",
    "build_judge",
    "build_pair_judge",
    "judge_endpoint",
    "judge_pairs",
    "refuse_self",
    "score_answers",
]
