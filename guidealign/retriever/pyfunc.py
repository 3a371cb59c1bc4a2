"""MLflow's way in: `mlflow.pyfunc.load_model("models:/guidealign-retriever/1").predict(texts)`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from guidealign.retriever.serve import SERVING_FOLDER, ServingEncoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class _Model:
    def __init__(self, encoder: ServingEncoder) -> None:
        self._encoder = encoder

    def predict(self, frame: Any, params: Any = None) -> NDArray[np.float32]:
        """L2-normalised vectors of the column `text`, (rows, dimensions)."""
        del params
        return self._encoder.encode([str(text) for text in frame["text"]], side="input")


def _load_pyfunc(folder: str) -> _Model:
    """Called by MLflow with the folder of the downloaded version."""
    return _Model(ServingEncoder(Path(folder) / SERVING_FOLDER))
