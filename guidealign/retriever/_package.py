"""A trained encoder as a folder that transformers and sentence-transformers both load, and back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guidealign.guidance import Encoder
from guidealign.registry import Interface
from guidealign.retriever.encode import PROMPTS_FILE, TransformerEncoder, load_folder
from guidealign.retriever.model import Prefixes
from guidealign.retriever.serve import SERVING_FOLDER, ServingEncoder
from guidealign.retriever.serving_form import ServingReport
from guidealign.retriever.threshold import Calibration
from guidealign.training import compare_outputs, save_outputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_RELOAD_TOLERANCE = 1e-5
_PROBES = ("How do I kill a Python process?", "Write a poem about my neighbour's dog.")
_SENTENCE_FILES = (
    "modules.json",
    PROMPTS_FILE,
    "sentence_bert_config.json",
    "1_Pooling/config.json",
)


def write_package(encoder: TransformerEncoder, base: str, folder: Path, *, card: str) -> None:
    """Writes safetensors, tokenizer, sentence-transformers' files, the model card and probes.

    Args:
        encoder: trained.
        base: folder of the untrained one.
        folder: already holds the serving form.
        card: for people.
    """
    encoder.model.save_pretrained(folder, safe_serialization=True)
    encoder.tokenizer.save_pretrained(folder)
    for name in _SENTENCE_FILES:
        source = Path(base) / name
        if source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / name)
    _name_prefixes(folder / PROMPTS_FILE, encoder.prefixes)
    (folder / "README.md").write_text(card, encoding="utf-8")
    save_outputs(folder, _embed_probes(encoder, folder))


def check_reload(folder: Path, *, max_length: int) -> float:
    """Largest difference of a vector between a package, loaded afresh, and what it keeps.

    Raises:
        IntegrityError: it is above the tolerance, or the package holds nothing to compare.
    """

    def again(_kept: Any) -> dict[str, NDArray[np.float32]]:
        return _embed_probes(load_folder(folder, max_length=max_length), folder)

    return compare_outputs(folder, again, tolerance=_RELOAD_TOLERANCE, what="vectors")


def interface_of(folder: Path) -> Interface:
    """How MLflow calls a package."""
    return Interface(
        loader_module="guidealign.retriever.pyfunc",
        column="text",
        dimensions=ServingEncoder(folder / SERVING_FOLDER).dimensions,
        example=_PROBES,
    )


def _embed_probes(encoder: Encoder, folder: Path) -> dict[str, NDArray[np.float32]]:
    """A few texts' vectors, trained and served: the same after a reload, or it is refused."""
    return {
        "model": encoder.encode(_PROBES, side="input"),
        "served": ServingEncoder(folder / SERVING_FOLDER).encode(_PROBES, side="input"),
    }


def _name_prefixes(file: Path, prefixes: Prefixes) -> None:
    """What is read in front of texts, as sentence-transformers looks for it."""
    if prefixes == Prefixes():
        return
    about = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    about["prompts"] = {"query": prefixes.input, "document": prefixes.guideline}
    file.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def model_card(
    base: str, library_version: int, metrics: dict[str, float], serving: ServingReport
) -> str:
    """What a person should know before using the version."""
    figures = json.dumps(metrics, indent=2, sort_keys=True)
    return f"""# guidealign-retriever

Finds the guidelines that fit a user's input. A dual encoder with shared weights, mean pooling and
L2-normalised vectors; similarity is the inner product.

- base: {Path(base).name}
- trained on the pairs of library version {library_version}, with in-batch negatives; other
  guidelines of the same input are no negatives
- held-out inputs are split off by cluster, so that near copies are never on both sides

## What serves

`serving/` holds one ONNX graph from token ids to vectors, its tokenizer and `serving.json`; it is
read by onnxruntime and tokenizers alone. Form: **{serving.form}** ({serving.reason}). Guidelines
and queries of this version are both encoded with it. In int8 every token is quantised by its own
largest value, so a text's vector does not depend on the texts beside it. The safetensors are what
training goes on from.

```python
import mlflow
mlflow.pyfunc.load_model("models:/guidealign-retriever@champion").predict(["How do I ...?"])
```

## Abstention

{_abstention(serving)}

## Figures

Its evaluation against champion, untrained base and BM25 is in the gate's report of the same run.

```json
{figures}
```
"""


def _abstention(serving: ServingReport) -> str:
    rows = [
        _row(name, calibration)
        for name, calibration in (
            ("cosine of the best unsafe-topic guideline", serving.cosine),
            ("probability that the input is unsafe", serving.risk),
        )
        if calibration is not None
    ]
    if not rows:
        return "Not calibrated: there were too few unsafe inputs. Nothing is held back."
    table = "\n".join(rows)
    return f"""An input below the threshold is given no unsafe-topic guideline; guidelines about
quality fit every input. Thresholds keep 95% of the held-out unsafe inputs; the shares are
cross-validated by cluster. The probability is a logistic regression on the input's vector, fitted
on the training inputs.

| measure | threshold | unsafe inputs given one | benign look-alikes | everyday inputs |
| --- | --- | --- | --- | --- |
{table}

Aim: under 5% of benign look-alikes at 95% of the unsafe ones. The curve of precision and coverage
is `abstention.json` of the run."""


def _row(name: str, calibration: Calibration) -> str:
    expected = calibration.expected
    shares = (
        f"{_share(expected.recall)} of {calibration.n_unsafe}",
        f"{_share(expected.lookalike)} of {calibration.n_lookalike}",
        f"{_share(expected.ordinary)} of {calibration.n_ordinary}",
    )
    return f"| {name} | {calibration.threshold:.3f} | {' | '.join(shares)} |"


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.0%}"
