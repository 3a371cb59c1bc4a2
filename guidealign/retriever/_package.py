"""A trained encoder as a folder that transformers and sentence-transformers both load."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from guidealign.retriever.encode import TransformerEncoder

_SENTENCE_FILES = (
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
)


def write_package(
    encoder: TransformerEncoder,
    base: str,
    folder: Path,
    *,
    library_version: int,
    metrics: dict[str, float],
) -> None:
    """Writes safetensors, tokenizer, sentence-transformers' files and a model card."""
    encoder.model.save_pretrained(folder, safe_serialization=True)
    encoder.tokenizer.save_pretrained(folder)
    for name in _SENTENCE_FILES:
        source = Path(base) / name
        if source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / name)
    (folder / "README.md").write_text(_card(base, library_version, metrics), encoding="utf-8")


def _card(base: str, library_version: int, metrics: dict[str, float]) -> str:
    figures = json.dumps(metrics, indent=2, sort_keys=True)
    return f"""# guidealign-retriever

Finds the guidelines that fit a user's input. A dual encoder with shared weights, mean pooling and
L2-normalised vectors; similarity is the inner product.

- base: {Path(base).name}
- trained on the pairs of library version {library_version}, with in-batch negatives; other
  guidelines of the same input are no negatives
- held-out inputs are split off by cluster, so that near copies are never on both sides

Its evaluation against champion, untrained base and BM25 is in the gate's report of the same run.

```json
{figures}
```
"""
