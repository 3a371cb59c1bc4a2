"""Near-duplicate search by MinHash bands (Broder 1997), verified by exact Jaccard."""

from __future__ import annotations

import numpy as np

from guidealign.ingest._text import fold_text

SHINGLE_CHARS = 5
N_BANDS = 16
ROWS_PER_BAND = 4
# At a Jaccard similarity of 0.8 a pair shares a band with probability
# 1 - (1 - 0.8**4)**16 = 0.9998.


def shingles(text: str) -> frozenset[str]:
    """Character 5-grams of the folded text; a shorter text is its own shingle."""
    folded = fold_text(text)
    last = max(1, len(folded) - SHINGLE_CHARS + 1)
    return frozenset(folded[start : start + SHINGLE_CHARS] for start in range(last))


def jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    """Size of the intersection over size of the union, in [0, 1]."""
    union = len(left | right)
    return len(left & right) / union if union else 1.0


def band_keys(parts: frozenset[str]) -> list[int]:
    """One signed 64-bit key a band, (N_BANDS,)."""
    # Brings scipy in, which takes seconds: only who compares inputs waits for it.
    from datasketch import MinHash

    sketch = MinHash(num_perm=N_BANDS * ROWS_PER_BAND, seed=1)
    sketch.update_batch([part.encode() for part in sorted(parts)])
    rows = np.asarray(sketch.hashvalues, dtype=np.uint64).reshape(N_BANDS, ROWS_PER_BAND)
    mixed = np.zeros(N_BANDS, dtype=np.uint64)
    for column in rows.T:  # FNV-1a over the rows of a band
        mixed = (mixed ^ column) * np.uint64(1_099_511_628_211)
    return [int(key) for key in mixed.view(np.int64)]
