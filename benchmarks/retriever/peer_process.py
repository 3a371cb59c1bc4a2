"""One peer that answers queries over a pipe: `python peer_process.py PEER MODEL FOLDER`.

Runs with the peer's own packages, so it imports nothing of this repository. The folder holds
`vectors.npy` (n, dimensions), the same ones that the database holds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

K = 6


def faiss_flat(model: str, vectors: Any) -> Callable[[str], object]:
    import faiss
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(model, device="cpu")
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)

    def ask(text: str) -> object:
        vector = encoder.encode([text], normalize_embeddings=True, show_progress_bar=False)
        return index.search(vector, K)

    return ask


def nemo(model: str, vectors: Any) -> Callable[[str], object]:
    from nemoguardrails.embeddings.basic import BasicEmbeddingsIndex
    from nemoguardrails.embeddings.index import IndexItem

    index = BasicEmbeddingsIndex(
        embedding_model=model, embedding_engine="SentenceTransformers", index=vectors
    )
    items = [IndexItem(text=str(i), meta={"id": i}) for i in range(len(vectors))]
    loop = asyncio.new_event_loop()
    loop.run_until_complete(index.add_items(items))

    def ask(text: str) -> object:
        return loop.run_until_complete(index.search(text, max_results=K))

    return ask


def main() -> None:
    peer, model, folder = sys.argv[1:]
    vectors = np.load(Path(folder) / "vectors.npy")
    ask = {"faiss": faiss_flat, "nemo": nemo}[peer](model, vectors)
    ask("warm up")
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        begun = time.perf_counter()
        ask(json.loads(line))
        print(json.dumps(1e3 * (time.perf_counter() - begun)), flush=True)


if __name__ == "__main__":
    main()
