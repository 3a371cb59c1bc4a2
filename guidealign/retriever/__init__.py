"""Learns which guidelines fit which input, and finds them."""

from guidealign.retriever._checkpoint import Checkpoint
from guidealign.retriever._drift_store import DriftCluster, DriftReport
from guidealign.retriever.drift import drift_in_words, drift_reports, measure_drift
from guidealign.retriever.evaluate import Ranking, rank_held_out, rank_with_bm25
from guidealign.retriever.model import EmbedResult, Encoder, TrainResult
from guidealign.retriever.serve import ServingEncoder, load_serving_encoder, prepare_base
from guidealign.retriever.train import embed_library, train_challenger

__all__ = [
    "Checkpoint",
    "DriftCluster",
    "DriftReport",
    "EmbedResult",
    "Encoder",
    "Ranking",
    "ServingEncoder",
    "TrainResult",
    "drift_in_words",
    "drift_reports",
    "embed_library",
    "load_serving_encoder",
    "measure_drift",
    "prepare_base",
    "rank_held_out",
    "rank_with_bm25",
    "train_challenger",
]
