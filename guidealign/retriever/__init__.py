"""Learns which guidelines fit which input, and finds them."""

from guidealign.retriever.evaluate import Ranking, rank_held_out, rank_with_bm25
from guidealign.retriever.model import EmbedResult, Encoder, TrainResult
from guidealign.retriever.serve import ServingEncoder, load_serving_encoder, prepare_base
from guidealign.retriever.train import embed_library, train_challenger

__all__ = [
    "EmbedResult",
    "Encoder",
    "Ranking",
    "ServingEncoder",
    "TrainResult",
    "embed_library",
    "load_serving_encoder",
    "prepare_base",
    "rank_held_out",
    "rank_with_bm25",
    "train_challenger",
]
