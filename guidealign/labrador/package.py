"""Writes a trained model as files, and checks files against the model they came from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guidealign.labrador.examples import Row
from guidealign.labrador.model import RELOAD_TOLERANCE, Lineage
from guidealign.platform import load_files
from guidealign.training import RELOAD_FILE, compare_outputs, save_outputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CHECK_ROWS = 3
_CHECK_LOGITS = 2
"""Positions at the end of each row of which all logits are compared."""

_CARD = """---
library_name: transformers
tags: [guidealign, labrador]
---

# guidealign-labrador

A small language model fine-tuned (LoRA, merged) towards what its base answers with guidelines
in front of the question, so that it answers likewise without them. Method: Guide-Align,
arXiv 2403.11838, stage 3; LoRA in place of full fine-tuning is this project's deviation.

| | |
| --- | --- |
| base | {base} (SHA-256 `{base_digest}`) |
| aligned data set | {dataset_id}, {n} answers of {model} (SHA-256 `{data_digest}`) |
| library version | {library_version} |
| retriever version | {retriever_version} |
| settings | `{settings}` |
| objective | {objective} |
| loss on {steps:.0f} steps' probe rows | {before:.4f} before, {after:.4f} after |

Files: merged weights (`model.safetensors`, fp32), tokenizer and chat template, the adapter
alone in `adapter/`, `{check}` with logits that a reload must give within {tolerance}.

It is as good as its base and its data, and no better: read its gate decision before use.
The licence is that of the base.
"""


def write_package(
    trained: Any,
    tokenizer: Any,
    folder: Path,
    *,
    lineage: Lineage,
    rows: Sequence[Row],
    metrics: dict[str, float],
) -> None:
    """Saves adapter, merged weights, tokenizer, card and the logits to compare with.

    Merging happens in place: the model cannot be trained further afterwards.
    """
    trained.cpu()
    # The path on this machine would mean nothing to whoever loads the adapter.
    trained.peft_config["default"].base_model_name_or_path = lineage.base.name
    # "auto" would look the base up in the model hub.
    trained.save_pretrained(folder / "adapter", save_embedding_layers=False)
    (folder / "adapter" / "README.md").unlink(missing_ok=True)
    merged = trained.merge_and_unload().eval()
    merged.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    save_outputs(folder, _outputs(merged, rows))
    (folder / "README.md").write_text(_card(lineage, metrics), encoding="utf-8")


def check_reload(folder: Path) -> float:
    """Largest difference between the logits of a package, loaded afresh, and those it keeps.

    Raises:
        IntegrityError: it is above the tolerance, or the package holds nothing to compare.
    """
    return compare_outputs(
        folder, partial(_again, folder), tolerance=RELOAD_TOLERANCE, what="logits"
    )


def _again(folder: Path, kept: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    model, _ = load_files(folder)
    rows = {name.removeprefix("tokens."): kept[name] for name in kept if "tokens" in name}
    return {f"logits.{index}": _last_logits(model, tokens) for index, tokens in rows.items()}


def _outputs(merged: Any, rows: Sequence[Row]) -> dict[str, NDArray[Any]]:
    """Tokens of a few rows and the logits at their ends."""
    import numpy as np

    found: dict[str, NDArray[Any]] = {}
    for index, row in enumerate(rows[:_CHECK_ROWS]):
        tokens = np.array([row.tokens])
        found |= {f"tokens.{index}": tokens, f"logits.{index}": _last_logits(merged, tokens)}
    return found


def _last_logits(model: Any, tokens: NDArray[Any]) -> NDArray[np.float32]:
    """Logits at the end of a row, (1, _CHECK_LOGITS, vocabulary)."""
    import torch

    with torch.inference_mode():
        logits = model(input_ids=torch.from_numpy(tokens), logits_to_keep=_CHECK_LOGITS).logits
    last: NDArray[np.float32] = logits.float().contiguous().numpy()
    return last


def _card(lineage: Lineage, metrics: dict[str, float]) -> str:
    data = lineage.data
    return _CARD.format(
        base=lineage.base.name,
        base_digest=lineage.base.digest,
        dataset_id=data.dataset_id,
        n=len(data.examples),
        model=data.model,
        data_digest=data.digest,
        library_version=data.library_version,
        retriever_version=data.retriever_version,
        settings=json.dumps(lineage.learning_settings(), sort_keys=True),
        objective=lineage.settings.objective,
        steps=metrics["steps"],
        before=metrics["probe_loss_before"],
        after=metrics["probe_loss_after"],
        check=RELOAD_FILE,
        tolerance=RELOAD_TOLERANCE,
    )
