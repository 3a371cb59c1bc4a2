"""The parts that measure speed: `latency`, `stream`, `throughput`."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text

from benchmarks._gateway_encoder import encoder_alone
from benchmarks._gateway_nemo import nemo
from benchmarks._gateway_servers import litellm
from benchmarks._gateway_speed import CALLERS, Bench, Sizes, added, bench
from benchmarks._library_data import percentile
from benchmarks._report import Figure
from guidealign.db import make_engine

LATENCY_MS = 500.0
"""Of the upstream, to the first byte: what a fast model takes for a short answer."""
MAX_P50_OF_ENCODER = 1.3
MAX_P99_OF_ENCODER = 3.0
MAX_OF_LITELLM = 0.5
MIN_OF_NEMO = 5.0
MAX_FIRST_TOKEN_MS = 5.0
"""Beside the retrieval."""


def measure_latency(url: str, sizes: Sizes) -> list[Figure]:
    """Added latency with guidelines on and off, the encoder's own, and LiteLLM's."""
    alone: list[float] = []
    loaded: list[list[float]] = []
    with bench(url, sizes) as b, encoder_alone() as encoder, litellm(b.stub.base_url) as peer:
        b.stub.set_latency(LATENCY_MS)
        servers = [b.direct, b.on, b.off, *([peer] if peer else [])]
        for number in range(sizes.rounds):
            # Each comes first once in a while: what a round begins with is no one's advantage.
            for place in range(len(servers)):
                b.ask(servers[(number + place) % len(servers)])
            alone += b.encode(encoder, callers=1, pause_ms=0)
            loaded.append(b.encode(encoder, callers=CALLERS, pause_ms=LATENCY_MS))
        return _latency_figures(b, alone, loaded, with_litellm=peer is not None)
