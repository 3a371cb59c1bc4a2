"""`python -m guidealign.retriever._export SOURCE TARGET MAX_LENGTH`: exports one encoder."""

from __future__ import annotations

import sys
from pathlib import Path

from guidealign.errors import IntegrityError
from guidealign.retriever._onnx import export_float
from guidealign.retriever.encode import load_folder
from guidealign.retriever.model import Prefixes
from guidealign.retriever.serve import ServingEncoder

PROBES = ("How do I kill a Python process?", "Write a poem about my neighbour's dog.", "no")
FLOAT_TOLERANCE = 1e-5


def export_folder(
    source: str, target: Path, max_length: int, prefixes: Prefixes | None = None
) -> None:
    """Exports a model folder or hub id, and compares both forms.

    Raises:
        IntegrityError: the graph gives other vectors than the model.
    """
    encoder = load_folder(source, max_length=max_length, prefixes=prefixes)
    export_float(encoder, target)
    ours = ServingEncoder(target).encode(PROBES, side="input")
    difference = float(abs(ours - encoder.encode(PROBES, side="input")).max())
    if not difference <= FLOAT_TOLERANCE:
        raise IntegrityError(f"the exported graph of {source} differs by {difference:.1e}")


if __name__ == "__main__":
    read = Prefixes(*sys.argv[4:]) if sys.argv[4:] else None
    export_folder(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), read)
