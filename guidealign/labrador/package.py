"""Writes a trained model as files, and checks files against the model they came from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from guidealign.errors import IntegrityError
from guidealign.labrador.base import load_files
from guidealign.labrador.examples import Row
from guidealign.labrador.model import RELOAD_TOLERANCE, Lineage

_CHECK_FILE = "reload_check.safetensors"
_METRICS_FILE = "training.json"
_CHECK_ROWS = 3
_CHECK_LOGITS = 2
"""Positions at the end of each row of which all logits are compared."""

_CARD = """---
library_name: transformers
tags: [guidealign, labrador]
---

# guidealign-labrador

A small language model fine-tuned (LoRA, merged) on answers that were written with guidelines
in front of the question, so that it answers likewise without them. Method: Guide-Align,
arXiv 2403.11838, stage 3; LoRA in place of full fine-tuning is this project's deviation.

| | |
| --- | --- |
| base | {base} (SHA-256 `{base_digest}`) |
| aligned data set | {dataset_id}, {n} answers of {model} (SHA-256 `{data_digest}`) |
| library version | {library_version} |
| retriever version | {retriever_version} |
| settings | `{settings}` |
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
    _write_check(merged, rows, folder)
    (folder / _METRICS_FILE).write_text(json.dumps(metrics, indent=2), encoding="utf-8")
    (folder / "README.md").write_text(_card(lineage, metrics), encoding="utf-8")


def read_metrics(folder: Path) -> dict[str, float]:
    """The figures that training left in a package."""
    read: dict[str, float] = json.loads((folder / _METRICS_FILE).read_text(encoding="utf-8"))
    return read


def check_reload(folder: Path) -> float:
    """Loads a package afresh and compares its logits with those it was saved with.

    Catches what saving and loading do silently, such as re-initialising weights whose names
    do not fit.

    Returns:
        The largest difference.

    Raises:
        IntegrityError: it is above the tolerance, or the package holds nothing to compare.
    """
    from safetensors.torch import load_file

    if not (folder / _CHECK_FILE).is_file():
        raise IntegrityError(f"the registered model has no {_CHECK_FILE}: train it again")
    expected = load_file(folder / _CHECK_FILE)
    model, _ = load_files(folder)
    worst = 0.0
    for name in sorted(n for n in expected if n.startswith("tokens.")):
        logits = _last_logits(model, expected[name])
        difference = (logits - expected[name.replace("tokens.", "logits.")]).abs().max()
        # A NaN compares with nothing: it must not pass for a small difference.
        worst = max(worst, float(difference)) if difference == difference else float("inf")
    if not worst <= RELOAD_TOLERANCE:
        raise IntegrityError(
            f"the registered model is not the trained one: logits differ by {worst:.2e}"
            f" (at most {RELOAD_TOLERANCE:g}): train it again"
        )
    return worst


def _write_check(merged: Any, rows: Sequence[Row], folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    check: dict[str, torch.Tensor] = {}
    for index, row in enumerate(rows[:_CHECK_ROWS]):
        tokens = torch.tensor([row.tokens])
        check[f"tokens.{index}"] = tokens
        check[f"logits.{index}"] = _last_logits(merged, tokens)
    save_file(check, folder / _CHECK_FILE)


def _last_logits(model: Any, tokens: Any) -> Any:
    """Logits at the end of a row, (1, _CHECK_LOGITS, vocabulary)."""
    import torch

    with torch.inference_mode():
        logits = model(input_ids=tokens, logits_to_keep=_CHECK_LOGITS).logits
    return logits.float().contiguous()


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
        steps=metrics["steps"],
        before=metrics["probe_loss_before"],
        after=metrics["probe_loss_after"],
        check=_CHECK_FILE,
        tolerance=RELOAD_TOLERANCE,
    )
