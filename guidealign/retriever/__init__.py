"""Learns which guidelines fit which input, and finds them."""

from guidealign.retriever.encode import load_encoder
from guidealign.retriever.evaluate import evaluate_bm25, evaluate_retriever
from guidealign.retriever.model import EmbedResult, Encoder, TrainResult
from guidealign.retriever.train import embed_library, train_challenger

__all__ = [
    "EmbedResult",
    "Encoder",
    "TrainResult",
    "embed_library",
    "evaluate_bm25",
    "evaluate_retriever",
    "load_encoder",
    "train_challenger",
]
