"""MLflow's description of a model: signature, input example, and who loads it."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Interface:
    """Texts in, vectors out."""

    loader_module: str
    """Importable; its `_load_pyfunc(folder)` gives an object with `predict(frame)`."""
    column: str
    """Of the frame that `predict` is given."""
    dimensions: int
    example: Sequence[str]


def write_interface(folder: Path, interface: Interface) -> None:
    """Writes `MLmodel` and `input_example.json`; no pickle, nothing runs but the named module."""
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    example = {"columns": [interface.column], "data": [[text] for text in interface.example]}
    (folder / "input_example.json").write_text(json.dumps(example), encoding="utf-8")
    vectors = TensorSpec(np.dtype(np.float32), (-1, interface.dimensions), "vectors")
    model = Model(
        signature=ModelSignature(
            inputs=Schema([ColSpec("string", interface.column)]), outputs=Schema([vectors])
        ),
        saved_input_example_info={
            "artifact_path": "input_example.json",
            "type": "dataframe",
            "pandas_orient": "split",
        },
    )
    model.add_flavor(
        "python_function",
        loader_module=interface.loader_module,
        python_version=platform.python_version(),
    )
    model.save(str(folder / "MLmodel"))
