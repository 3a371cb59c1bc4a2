"""Learns which guidelines fit which input, and finds them."""

from guidealign.retriever._checkpoint import Checkpoint
from guidealign.retriever.evaluate import evaluate_bm25, evaluate_retriever
from guidealign.retriever.model import EmbedResult, Encoder, TrainResult
from guidealign.retriever.serve import ServingEncoder, load_serving_encoder, prepare_base
from guidealign.retriever.train import embed_library, train_challenger

__all__ = [
    "Checkpoint",
    "EmbedResult",
    "Encoder",
    "ServingEncoder",
    "TrainResult",
    "embed_library",
    "evaluate_bm25",
    "evaluate_retriever",
    "load_serving_encoder",
    "prepare_base",
    "train_challenger",
]
