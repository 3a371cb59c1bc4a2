"""How fast a training goes, against sentence-transformers' trainer on the same pairs."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks._harness.report import ROOT, Figure
from benchmarks.retriever.inputs import Library, Queries, held_out, load_library
from guidealign.library import encoder_folder
from guidealign.retriever.batches import draw_pairs
from guidealign.retriever.encode import load_folder
from guidealign.retriever.metrics import rank_ids, recall_at
from guidealign.retriever.training_data import TrainingData, assemble_data

K = 6
_LEAST_RATIO = 1.3
_SCRIPT = ROOT / "benchmarks" / "retriever" / "trainer_process.py"
_OURS, _THEIRS = "ours", "sentence-transformers' trainer"
_EXACT = "ours in float32"
_TIMED_EPOCHS = 4
_WHOLE_EPOCHS = 5
_ROUNDS = 3


def measure_training(server_url: str, full: bool) -> list[Figure]:
    """Pairs a second of both, and what each finds afterwards on the held-out inputs."""
    library = load_library(server_url)
    settings = library.settings.retriever
    base = encoder_folder(settings.base_model)
    untrained = load_folder(base, max_length=settings.max_length)
    # No dev inputs: both see each pair as often.
    whole = settings.model_copy(update={"dev_share": 0.0})
    data = assemble_data(library.split.train, library.guidelines, untrained, whole)
    queries = held_out(library.split, library.guidelines)
    spent: dict[str, list[float]] = {_OURS: [], _EXACT: [], _THEIRS: []}
    recalls: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-training-") as scratch:
        short = _task(library, data, str(base), epochs=_TIMED_EPOCHS if full else 1)
        for turn in range(_ROUNDS if full else 1):
            for name in spent:
                folder = Path(scratch) / f"{name}-{turn}"
                spent[name].append(_run(short, name, folder))
        whole_task = _task(library, data, str(base), epochs=_WHOLE_EPOCHS if full else 1)
        for name in spent:
            _run(whole_task, name, Path(scratch) / name)
            recalls[name] = _recall(Path(scratch) / name, queries, library)
    return _figures(spent, recalls, n_pairs=len(short["pairs"]))


def _task(library: Library, data: TrainingData, base: str, *, epochs: int) -> dict[str, Any]:
    settings = library.settings.retriever
    seed = settings.seed
    pairs: list[tuple[str, str]] = []
    size = settings.batch_size
    for epoch in range(epochs):
        rng = random.Random(f"{seed}:{epoch}")  # noqa: S311 - order, not secrecy
        drawn = draw_pairs(data, rng)
        drawn = drawn[: len(drawn) // size * size]
        pairs += [(pair.text, data.guidelines[pair.guideline_id]) for pair in drawn]
    steps = len(pairs) // size
    return {
        "base": base,
        "pairs": pairs,
        "inputs": [(item.text, item.guideline_ids) for item in data.inputs],
        "guidelines": dict(data.guidelines),
        "equivalents": {number: sorted(same) for number, same in data.equivalents.items()},
        "epochs": epochs,
        "seed": seed,
        "warmup_steps": max(1, round(settings.warmup_ratio * steps)),
        **settings.model_dump(
            include={"batch_size", "learning_rate", "max_length", "temperature"}, mode="json"
        ),
    }


def _run(task: dict[str, Any], name: str, folder: Path) -> float:
    """Processor seconds of one training, as its process tells them."""
    Console(stderr=True).print(f"retriever: training, {name}", highlight=False)
    who = {
        "who": "peer" if name == _THEIRS else "ours",
        "precision": "float32" if name == _EXACT else "auto",
    }
    done = subprocess.run(
        [sys.executable, "-P", str(_SCRIPT)],
        input=json.dumps({**task, **who, "folder": str(folder)}),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
    )
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr.strip()[-500:]}")
    return float(json.loads(done.stdout.strip().splitlines()[-1])["seconds"])


def _recall(folder: Path, queries: Queries, library: Library) -> float:
    encoder = load_folder(folder, max_length=library.settings.retriever.max_length)
    documents = encoder.encode(library.documents, side="guideline")
    orders = rank_ids(encoder.encode(queries.texts, side="input") @ documents.T, library.ids)
    return float(
        np.mean([recall_at(o, set(r), K) for o, r in zip(orders, queries.right, strict=True)])
    )


def _figures(
    spent: dict[str, list[float]], recalls: dict[str, float], *, n_pairs: int
) -> list[Figure]:
    figures = [
        Figure(
            figure=f"training: {name}",
            value=median(n_pairs / seconds for seconds in times),
            unit="pairs per processor second",
            n=len(times),
            note=f"after a whole training, recall@{K} of held-out inputs {recalls[name]:.3f}",
        )
        for name, times in spent.items()
    ]
    for name in (_OURS, _EXACT):
        ratios = [theirs / ours for ours, theirs in zip(spent[name], spent[_THEIRS], strict=True)]
        ratio = median(ratios)
        figures.append(
            Figure(
                figure=f"training: {name} against {_THEIRS}",
                value=ratio,
                unit="ratio of pairs/s",
                n=len(ratios),
                target=f">= {_LEAST_RATIO}" if name == _OURS else "",
                met=ratio >= _LEAST_RATIO if name == _OURS else None,
                note="same pairs, batch and length, a thread each, taking turns: from"
                f" {min(ratios):.2f} to {max(ratios):.2f}; recall@{K}"
                f" {recalls[name] - recalls[_THEIRS]:+.3f}; the trainer as it comes, in float32",
            )
        )
    return figures
