"""One training in a process of its own: this project's, or sentence-transformers' own trainer.

Reads a task (JSON) from standard input, writes the weights to its folder, and prints what it took
as one line of JSON, the last.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

_THREADS = 1
"""Threads of which one has to wait keep the other busy, and processor time would tell of that."""


def _train_peer(task: dict[str, Any]) -> float:
    """sentence-transformers' trainer on (anchor, positive) rows; processor seconds of its loop."""
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.losses import MultipleNegativesRankingLoss

    model = SentenceTransformer(task["base"], device="cpu")
    model.max_seq_length = task["max_length"]
    rows = Dataset.from_dict(
        {"anchor": [a for a, _ in task["pairs"]], "positive": [p for _, p in task["pairs"]]}
    )
    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=task["folder"] + "/work",
            per_device_train_batch_size=task["batch_size"],
            num_train_epochs=1,
            learning_rate=task["learning_rate"],
            warmup_steps=task["warmup_steps"],
            weight_decay=0.01,
            dataloader_drop_last=True,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            seed=task["seed"],
        ),
        train_dataset=rows,
        loss=MultipleNegativesRankingLoss(model, scale=1 / task["temperature"]),
    )
    begun = time.process_time()
    trainer.train()
    spent = time.process_time() - begun
    model.save(task["folder"])
    return spent


def _train_ours(task: dict[str, Any]) -> float:
    """`fit` on the inputs that the rows were drawn from; processor seconds of all of it."""
    from guidealign.retriever.encode import load_folder
    from guidealign.retriever.fit import fit
    from guidealign.retriever.model import LabelledInput
    from guidealign.retriever.training_data import TrainingData
    from guidealign.settings import RetrieverSettings

    encoder = load_folder(task["base"], max_length=task["max_length"])
    data = TrainingData(
        inputs=[
            LabelledInput(number, text, tuple(own), "", False, "", number)
            for number, (text, own) in enumerate(task["inputs"])
        ],
        guidelines={int(number): text for number, text in task["guidelines"].items()},
        equivalents={int(n): frozenset(same) for n, same in task["equivalents"].items()},
    )
    settings = RetrieverSettings(
        epochs=task["epochs"],
        batch_size=task["batch_size"],
        learning_rate=task["learning_rate"],
        max_length=task["max_length"],
        temperature=task["temperature"],
        precision=task["precision"],
        seed=task["seed"],
    )
    begun = time.process_time()
    fit(encoder, data, settings, lambda _figures, _step: None)
    spent = time.process_time() - begun
    encoder.model.save_pretrained(task["folder"])
    encoder.tokenizer.save_pretrained(task["folder"])
    return spent


if __name__ == "__main__":
    import torch

    task = json.load(sys.stdin)
    Path(task["folder"]).mkdir(parents=True)
    torch.set_num_threads(_THREADS)
    seconds = {"ours": _train_ours, "peer": _train_peer}[task["who"]](task)
    print(json.dumps({"seconds": seconds}))
